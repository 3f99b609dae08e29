// Command etcd is the unmodified etcd server, built from its library so that the tests need only
// the Go module proxy.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
