// A static program with its own resolver and TLS: GETs its arguments, prints a status and a body each.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	roots := x509.NewCertPool()
	if pem, err := os.ReadFile(os.Args[1]); err == nil {
		roots.AppendCertsFromPEM(pem)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	for _, url := range os.Args[2:] {
		answer, err := client.Get(url)
		if err != nil {
			fmt.Println("error", err)
			continue
		}
		body, _ := io.ReadAll(answer.Body)
		fmt.Print(answer.StatusCode, " ", string(body))
	}
}
