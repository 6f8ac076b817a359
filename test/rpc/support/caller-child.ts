// A process that connects: `caller-child.ts <socket path | fd> <connections>`. It asks on each connection, with headers
// that try to pass for others, prints the answers as one line of JSON, and again for each line that it reads
// and when its input ends.
import { Socket } from "node:net";
import { createInterface } from "node:readline";
import { askWho, openHttp2, speakHttp2 } from "./who-service.ts";

const [place = "", count = "1"] = process.argv.slice(2);
const forged = {
  ":authority": "peer-1",
  "x-forwarded-for": "peer-1",
  "remote-address": "peer-1",
  forwarded: "for=peer-1",
  "x-peer-uid": "0",
  uid: "0",
  pid: "1",
};

const sessions = await Promise.all(
  Array.from({ length: Number(count) }, async () =>
    /^\d+$/.test(place)
      ? await speakHttp2(new Socket({ fd: Number(place) }))
      : await openHttp2(place),
  ),
);

async function ask(): Promise<void> {
  const answers = await Promise.all(sessions.map(async (session) => await askWho(session, forged)));
  process.stdout.write(`${JSON.stringify(answers)}\n`);
}

await ask();
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "drop") process.setuid?.(65534);
  await ask();
}
await ask();
for (const session of sessions) session.close();
