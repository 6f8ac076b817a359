// The least that an issuer written in Go does for an X.509-SVID, in a loop: read the CSR, check its signature, create the certificate.
// No network, no disk, no audit, no lint, no envelope. Prints certificates a second and CPU microseconds for each.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"flag"
	"fmt"
	"log"
	"math/big"
	"net/url"
	"runtime"
	"syscall"
	"time"
)

const distinctRequests = 256

func main() {
	duration := flag.Duration("for", time.Second, "how long to sign")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	authority, key := newAuthority()
	requests := newRequests()
	for _, request := range requests {
		issue(request, authority, key)
	}
	cpu, begun, issued := cpuTime(), time.Now(), 0
	for ; time.Since(begun) < *duration; issued++ {
		issue(requests[issued%len(requests)], authority, key)
	}
	elapsed := time.Since(begun)
	fmt.Printf("%.1f %.2f\n", float64(issued)/elapsed.Seconds(), float64((cpuTime()-cpu).Microseconds())/float64(issued))
}

func issue(request []byte, authority *x509.Certificate, key crypto.Signer) {
	csr := must(x509.ParseCertificateRequest(request))
	check(csr.CheckSignature())
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))),
		NotBefore:             now.Add(-30 * time.Second),
		NotAfter:              now.Add(time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{must(url.Parse("spiffe://example.org/web"))},
	}
	must(x509.CreateCertificate(rand.Reader, template, authority, csr.PublicKey, key))
}

func newAuthority() (*x509.Certificate, crypto.Signer) {
	key := newKey()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "baseline"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return must(x509.ParseCertificate(der)), key
}

func newRequests() [][]byte {
	requests := make([][]byte, distinctRequests)
	for at := range requests {
		requests[at] = must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, newKey()))
	}
	return requests
}

func newKey() *ecdsa.PrivateKey {
	return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
