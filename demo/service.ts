// The HTTP service behind the server's Envoy. It knows nothing of TLS: who calls, it reads from x-forwarded-client-cert, which that Envoy
// writes and lets nobody else write.
import { createServer } from "node:http";

const server = createServer((request, response) => {
  const header = request.headers["x-forwarded-client-cert"];
  const told = new Map(
    (typeof header === "string" ? header : "")
      .split(";")
      .map((part) => part.split("=", 2) as [string, string | undefined]),
  );
  const body = { caller: told.get("URI") ?? "", certificate: told.get("Hash") ?? "" };
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(body));
});

server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("service is ready"));
process.on("SIGTERM", () => process.exit(0));
