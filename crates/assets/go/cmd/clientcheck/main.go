// Command clientcheck uses one resource as client-go's controllers do: informers of objects and of
// metadata, WatchList, paging, and a watch resumed from a revision.
//
// It prints one line per successful step and exits with code 1 at the first failure. After
// "waiting" it reads a line from standard input, so that the caller can restart the server while
// the informers run. The remaining steps check that the informers still work.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/clientcmd"
)

// patience is the time limit of each step.
const patience = 60 * time.Second

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "clientcheck:", err)
		os.Exit(1)
	}
}

func run() error {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig of the user to be")
	resource := flag.String("resource", "", "resource to work with, as plural.version.group")
	namespace := flag.String("namespace", "", "namespace to work in; empty for cluster scope")
	manifest := flag.String("manifest", "", "JSON of an object to create; it needs generateName")
	patch := flag.String("patch", "", "merge patch that changes such an object")
	subresource := flag.String("subresource", "", "subresource the patch goes to")
	flag.Parse()

	gvr, _ := schema.ParseResourceArg(*resource)
	if gvr == nil {
		return fmt.Errorf("%q is not plural.version.group", *resource)
	}
	template := &unstructured.Unstructured{}
	if err := json.Unmarshal([]byte(*manifest), template); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	metadatas, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	check := &check{
		ctx:       ctx,
		gvr:       *gvr,
		namespace: *namespace,
		template:  template,
		dynamic:   objects,
		resource:  scoped(objects.Resource(*gvr), *namespace),
		metadata:  metadatas,
		patch:     []byte(*patch),
	}
	if *subresource != "" {
		check.subresources = []string{*subresource}
	}
	return check.all(bufio.NewReader(os.Stdin))
}

func scoped(all dynamic.NamespaceableResourceInterface, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return all
	}
	return all.Namespace(namespace)
}
