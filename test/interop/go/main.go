// What go-spiffe makes of a Workload API, one JSON object a line. "serve" and "call" end when standard input does.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

const patience = 20 * time.Second

func main() {
	var o options
	flag.StringVar(&o.socket, "socket", "", "Workload API address")
	flag.StringVar(&o.id, "id", "", "own SPIFFE ID, of several")
	flag.StringVar(&o.peer, "peer", "", "SPIFFE ID of the other side")
	flag.StringVar(&o.addr, "addr", "", "where the other side listens")
	flag.StringVar(&o.domain, "domain", "", "trust domain of the bundle on standard input")
	flag.Parse()
	commands := map[string]func(options) error{"fetch": fetch, "serve": serve, "call": call, "parse-bundle": parseBundle}
	command, ok := commands[flag.Arg(0)]
	if !ok {
		fail(fmt.Errorf("no command %q", flag.Arg(0)))
	}
	if err := command(o); err != nil {
		fail(err)
	}
}

type options struct{ socket, id, peer, addr, domain string }

// fetch: every SVID of the caller, each verified against the bundles that came with it.
func fetch(o options) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, err := workloadapi.FetchX509Context(ctx, workloadapi.WithAddr(o.socket))
	if err != nil {
		return err
	}
	ids := []string{}
	for _, svid := range got.SVIDs {
		id, chains, err := x509svid.Verify(svid.Certificates, got.Bundles)
		if err != nil {
			return err
		}
		if id != svid.ID || len(chains) == 0 {
			return fmt.Errorf("%s verified as %s with %d chains", svid.ID, id, len(chains))
		}
		ids = append(ids, id.String())
	}
	say(map[string]any{"ids": ids, "bundles": len(got.Bundles.Bundles())})
	return nil
}

func source(ctx context.Context, o options) (*workloadapi.X509Source, error) {
	pick := func(svids []*x509svid.SVID) *x509svid.SVID {
		for _, svid := range svids {
			if svid.ID.String() == o.id {
				return svid
			}
		}
		return svids[0]
	}
	return workloadapi.NewX509Source(ctx,
		workloadapi.WithClientOptions(workloadapi.WithAddr(o.socket)),
		workloadapi.WithDefaultX509SVIDPicker(pick))
}

// serve: answers every connection of the peer with the serial number of the certificate that it showed.
func serve(o options) error {
	from, err := source(context.Background(), o)
	if err != nil {
		return err
	}
	defer from.Close()
	config := tlsconfig.MTLSServerConfig(from, from, tlsconfig.AuthorizeID(spiffeid.RequireFromString(o.peer)))
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = listener.Close()
	}()
	say(map[string]any{"addr": listener.Addr().String()})
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go greet(connection.(*tls.Conn))
	}
}

func greet(connection *tls.Conn) {
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(patience))
	if err := connection.Handshake(); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		return
	}
	fmt.Fprintf(connection, "%x\n", connection.ConnectionState().PeerCertificates[0].SerialNumber)
}

// call: full handshakes, one after the other, until standard input ends; then what came of them.
func call(o options) error {
	from, err := source(context.Background(), o)
	if err != nil {
		return err
	}
	defer from.Close()
	config := tlsconfig.MTLSClientConfig(from, from, tlsconfig.AuthorizeID(spiffeid.RequireFromString(o.peer)))
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	handshakes, failures := 0, []string{}
	own, theirs := map[string]bool{}, map[string]bool{}
	for running := true; running; {
		handshakes++
		mine, yours, err := once(o.addr, config)
		if err != nil {
			failures = append(failures, err.Error())
		} else {
			own[mine], theirs[yours] = true, true
		}
		if handshakes == 1 {
			say(map[string]any{"begun": err == nil})
		}
		select {
		case <-ended:
			running = false
		case <-time.After(5 * time.Millisecond):
		}
	}
	say(map[string]any{"handshakes": handshakes, "failures": failures, "own": len(own), "theirs": len(theirs)})
	return nil
}

// once makes one connection. In TLS 1.3 only the server's answer tells that it took the client's certificate.
func once(addr string, config *tls.Config) (mine, yours string, err error) {
	dialer := &net.Dialer{Timeout: patience}
	connection, err := tls.DialWithDialer(dialer, "tcp", addr, config)
	if err != nil {
		return "", "", err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(patience))
	answer, err := io.ReadAll(connection)
	if err != nil {
		return "", "", err
	}
	if len(answer) == 0 {
		return "", "", errors.New("the server closed without an answer")
	}
	return string(answer), fmt.Sprintf("%x", connection.ConnectionState().PeerCertificates[0].SerialNumber), nil
}

// parseBundle: a SPIFFE bundle document on standard input.
func parseBundle(o options) error {
	document, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	bundle, err := spiffebundle.Parse(spiffeid.RequireTrustDomainFromString(o.domain), document)
	if err != nil {
		return err
	}
	sequence, _ := bundle.SequenceNumber()
	hint, _ := bundle.RefreshHint()
	say(map[string]any{
		"authorities": len(bundle.X509Authorities()),
		"sequence":    fmt.Sprint(sequence),
		"refreshHint": hint.Seconds(),
	})
	return nil
}

func say(what map[string]any) {
	line, err := json.Marshal(what)
	if err != nil {
		fail(err)
	}
	fmt.Println(string(line))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
