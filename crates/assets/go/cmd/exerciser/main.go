// Command exerciser uses the API of sample-apiserver in the ways that client-go offers: typed,
// dynamic and metadata clients, informers, discovery, and requests with other headers.
//
// It prints one line for each step, without what differs between two runs: UIDs, times and resource
// versions. Two runs against the same API print the same lines, so a test compares a run through a
// proxy with one without. After a step whose result is not the expected one the exit code is 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/sample-apiserver/pkg/generated/clientset/versioned"
	"k8s.io/sample-apiserver/pkg/generated/clientset/versioned/typed/wardle/v1alpha1"
)

const (
	// patience is the time limit of each wait.
	patience = 60 * time.Second
	// userAgent marks the requests in audit logs.
	userAgent = "exerciser"
	group     = "wardle.example.com"
	// ok is the expected result of a step that succeeds.
	ok metav1.StatusReason = "ok"
)

var flunders = schema.GroupVersionResource{Group: group, Version: "v1alpha1", Resource: "flunders"}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "exerciser:", err)
		os.Exit(1)
	}
}

func run() error {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig of the user to be")
	impersonator := flag.String("impersonator", "", "kubeconfig of a user who may impersonate others")
	namespace := flag.String("namespace", "", "an empty namespace to work in")
	flag.Parse()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e, err := newExerciser(ctx, *kubeconfig, *namespace)
	if err != nil {
		return err
	}
	admin, err := e.load(*impersonator)
	if err != nil {
		return err
	}
	for _, part := range []func() error{
		e.objects, e.refusals, e.patches, e.deletions, e.lists, e.selectors, e.watches, e.informers,
		e.representations, e.documents, func() error { return e.impersonation(admin) },
	} {
		if err := part(); err != nil {
			return err
		}
	}
	return errors.Join(e.unexpected...)
}

type exerciser struct {
	ctx       context.Context
	namespace string
	config    *rest.Config
	clients   versioned.Interface
	typed     v1alpha1.FlunderInterface
	dynamic   dynamic.Interface
	resource  dynamic.ResourceInterface
	metadata  metadata.Interface
	http      *http.Client
	warnings  *warnings
	// unexpected are the steps with another result than the expected one.
	unexpected []error
}

func newExerciser(ctx context.Context, kubeconfig, namespace string) (*exerciser, error) {
	e := &exerciser{ctx: ctx, namespace: namespace, warnings: &warnings{texts: map[string]bool{}}}
	var err error
	if e.config, err = e.load(kubeconfig); err != nil {
		return nil, err
	}
	if e.clients, err = versioned.NewForConfig(e.config); err != nil {
		return nil, err
	}
	if e.dynamic, err = dynamic.NewForConfig(e.config); err != nil {
		return nil, err
	}
	if e.metadata, err = metadata.NewForConfig(e.config); err != nil {
		return nil, err
	}
	if e.http, err = rest.HTTPClientFor(e.config); err != nil {
		return nil, err
	}
	e.typed = e.clients.WardleV1alpha1().Flunders(namespace)
	e.resource = e.dynamic.Resource(flunders).Namespace(namespace)
	return e, nil
}

func (e *exerciser) load(kubeconfig string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.UserAgent = userAgent
	config.WarningHandler = e.warnings
	config.QPS = -1
	return config, nil
}

// step prints the result of a request, or the status with which the API server refused it.
func (e *exerciser) step(name string, expected metav1.StatusReason, request func() (any, error)) error {
	result, err := request()
	reason, text := ok, ""
	if err == nil {
		text, err = normalizedJSON(result)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	} else if status, isStatus := err.(apierrors.APIStatus); isStatus {
		reason = status.Status().Reason
		if text, err = normalizedJSON(status.Status()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	} else {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Printf("%s: %s %s%s\n", name, reason, text, e.warnings.take())
	if reason != expected {
		e.unexpected = append(e.unexpected, fmt.Errorf("%s: %q instead of %q", name, reason, expected))
	}
	return nil
}

// steps runs steps until one has no result.
func (e *exerciser) steps(all []step) error {
	for _, step := range all {
		if err := e.step(step.name, step.expected, step.request); err != nil {
			return err
		}
	}
	return nil
}

type step struct {
	name     string
	expected metav1.StatusReason
	request  func() (any, error)
}

// warnings collects the warnings of the API server.
type warnings struct {
	mutex sync.Mutex
	texts map[string]bool
}

// HandleWarningHeader implements [rest.WarningHandler].
func (w *warnings) HandleWarningHeader(code int, agent, text string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.texts[fmt.Sprintf(" warning %d %s %s", code, agent, text)] = true
}

func (w *warnings) take() string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	texts := strings.Join(slices.Sorted(maps.Keys(w.texts)), "")
	clear(w.texts)
	return texts
}
