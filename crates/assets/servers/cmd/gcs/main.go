// An object store with the API of Google Cloud Storage: a proxy in front of fake-gcs-server.
//
// fake-gcs-server stores the objects and verifies conditions and checksums, but accepts uploads
// only through the JSON API and verifies no tokens. The proxy converts uploads through the XML API
// to the JSON API, and verifies the tokens.
package main

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"io"
	"log"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"strings"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

func main() {
	address := flag.String("listen", "", "address to listen on")
	bucket := flag.String("bucket", "", "the bucket there is")
	keyFile := flag.String("public-key", "", "file with the key that tokens are signed for, PEM")
	flag.Parse()
	key, err := publicKey(*keyFile)
	if err != nil {
		log.Fatal(err)
	}
	options := fakestorage.Options{NoListener: true, PublicHost: *address}
	server, err := fakestorage.NewServerWithOptions(options)
	if err != nil {
		log.Fatal(err)
	}
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: *bucket})
	log.Fatal(http.ListenAndServe(*address, front{server.HTTPHandler(), key}))
}

type front struct {
	store http.Handler
	key   *rsa.PublicKey
}

func (f front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/storage/v1/") {
		// Tests list objects without a token.
		f.store.ServeHTTP(w, r)
		return
	}
	if !f.isSigned(r.Header.Get("Authorization")) {
		refuse(w, http.StatusUnauthorized, "AuthenticationRequired")
		return
	}
	if r.Method == http.MethodPut {
		f.upload(w, r)
		return
	}
	f.store.ServeHTTP(w, r)
}

// isSigned reports whether the token is signed with the key.
func (f front) isSigned(authorization string) bool {
	token, found := strings.CutPrefix(authorization, "Bearer ")
	end := strings.LastIndex(token, ".")
	if !found || end < 0 {
		return false
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[end+1:])
	sum := sha256.Sum256([]byte(token[:end]))
	return err == nil && rsa.VerifyPKCS1v15(f.key, crypto.SHA256, sum[:], signature) == nil
}

// upload converts an upload through the XML API, which uses headers, to the JSON API.
func (f front) upload(w http.ResponseWriter, r *http.Request) {
	bucket, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	content, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "IncompleteBody")
		return
	}
	about, err := json.Marshal(map[string]string{"name": name, "md5Hash": r.Header.Get("Content-MD5")})
	if err != nil {
		refuse(w, http.StatusInternalServerError, "InternalError")
		return
	}
	var body bytes.Buffer
	parts := multipart.NewWriter(&body)
	for _, part := range []struct {
		kind    string
		content []byte
	}{{"application/json", about}, {"application/octet-stream", content}} {
		// Writing to memory does not fail.
		writer, _ := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {part.kind}})
		_, _ = writer.Write(part.content)
	}
	_ = parts.Close()
	target := "/upload/storage/v1/b/" + bucket + "/o?uploadType=multipart"
	if generation := r.Header.Get("x-goog-if-generation-match"); generation != "" {
		target += "&ifGenerationMatch=" + generation
	}
	asked := httptest.NewRequest(http.MethodPost, target, &body)
	asked.Host = r.Host
	asked.Header.Set("Content-Type", "multipart/related; boundary="+parts.Boundary())
	answer := httptest.NewRecorder()
	f.store.ServeHTTP(answer, asked)
	switch answer.Code {
	case http.StatusOK:
		var kept struct{ Etag, Generation string }
		if json.Unmarshal(answer.Body.Bytes(), &kept) != nil {
			refuse(w, http.StatusInternalServerError, "InternalError")
			return
		}
		w.Header().Set("ETag", kept.Etag)
		w.Header().Set("x-goog-generation", kept.Generation)
	case http.StatusNotFound:
		refuse(w, answer.Code, "NoSuchBucket")
	case http.StatusPreconditionFailed:
		refuse(w, answer.Code, "PreconditionFailed")
	default:
		log.Printf("PUT %s: %d %s", r.URL.Path, answer.Code, answer.Body)
		refuse(w, answer.Code, "Refused")
	}
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<?xml version='1.0' encoding='UTF-8'?><Error><Code>"+code+"</Code></Error>")
}

func publicKey(file string) (*rsa.PublicKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		log.Fatalf("%s holds no PEM", file)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	return key.(*rsa.PublicKey), nil
}
