package main

import (
	"context"
	"fmt"
	"sort"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/pager"
	watchtools "k8s.io/client-go/tools/watch"
)

// listed is the number of objects that are listed.
const listed = 7

func (e *exerciser) list(options metav1.ListOptions) func() (any, error) {
	return func() (any, error) { return e.typed.List(e.ctx, options) }
}

// lists creates objects, and lists them in pages and versions.
func (e *exerciser) lists() error {
	for index := range listed {
		object := flunder(fmt.Sprintf("item-%d", index))
		object.Labels["parity"] = []string{"even", "odd"}[index%2]
		if _, err := e.typed.Create(e.ctx, object, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	seconds := int64(2)
	return e.steps([]step{
		{"list", ok, e.list(metav1.ListOptions{})},
		{"list any version", ok, e.list(metav1.ListOptions{ResourceVersion: "0"})},
		{"list in pages", ok, e.pages},
		{"list with a pager", ok, e.pager},
		{"list the exact version", ok, e.exactVersion},
		{"list of all namespaces", ok, func() (any, error) {
			return e.clients.WardleV1alpha1().Flunders("").List(e.ctx, metav1.ListOptions{LabelSelector: "parity"})
		}},
		{"list within a time", ok, e.list(metav1.ListOptions{TimeoutSeconds: &seconds})},
		{"list with a malformed page", metav1.StatusReasonBadRequest, e.list(metav1.ListOptions{Continue: "x", Limit: 1})},
		{"list with a malformed version", metav1.StatusReasonBadRequest, e.list(metav1.ListOptions{ResourceVersion: "x"})},
		{"list with an unknown match", metav1.StatusReasonInvalid,
			e.list(metav1.ListOptions{ResourceVersion: "1", ResourceVersionMatch: "Other"})},
	})
}

// selectors lists by labels and fields.
func (e *exerciser) selectors() error {
	var all []step
	for _, selector := range []string{"parity=even", "parity!=even", "parity in (odd)", "!parity", "parity,app"} {
		all = append(all, step{"label selector " + selector, ok, e.list(metav1.ListOptions{LabelSelector: selector})})
	}
	for _, selector := range []string{"metadata.name=item-3", "metadata.name!=item-3,metadata.namespace=" + e.namespace} {
		all = append(all, step{"field selector " + selector, ok, e.list(metav1.ListOptions{FieldSelector: selector})})
	}
	return e.steps(append(all,
		step{"malformed label selector", metav1.StatusReasonBadRequest, e.list(metav1.ListOptions{LabelSelector: "=="})},
		step{"unknown field selector", metav1.StatusReasonBadRequest, e.list(metav1.ListOptions{FieldSelector: "spec.reference=a"})},
	))
}

func (e *exerciser) pages() (any, error) {
	options := metav1.ListOptions{Limit: 3}
	var pages [][]string
	for {
		page, err := e.typed.List(e.ctx, options)
		if err != nil {
			return nil, err
		}
		var names []string
		for _, item := range page.Items {
			names = append(names, item.Name)
		}
		pages = append(pages, names)
		if options.Continue = page.Continue; options.Continue == "" {
			return pages, nil
		}
	}
}

func (e *exerciser) pager() (any, error) {
	var names []string
	pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return e.resource.List(ctx, options)
	})
	pages.PageSize = 2
	err := pages.EachListItem(e.ctx, metav1.ListOptions{}, func(object runtime.Object) error {
		names = append(names, nameOf(object))
		return nil
	})
	return names, err
}

func (e *exerciser) exactVersion() (any, error) {
	current, err := e.typed.List(e.ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	if err := e.change("exact"); err != nil {
		return nil, err
	}
	return e.typed.List(e.ctx, metav1.ListOptions{
		ResourceVersion: current.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
}

// change creates an object, changes it, and deletes it.
func (e *exerciser) change(name string) error {
	if _, err := e.typed.Create(e.ctx, flunder(name), metav1.CreateOptions{}); err != nil {
		return err
	}
	patch := []byte(`{"metadata":{"labels":{"changed":"yes"}}}`)
	if _, err := e.typed.Patch(e.ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return err
	}
	return e.typed.Delete(e.ctx, name, metav1.DeleteOptions{})
}

// watches watches from a version, again from a later one, and with each option.
func (e *exerciser) watches() error {
	yes := true
	second := int64(1)
	return e.steps([]step{
		{"watch from a list", ok, e.watchAndResume},
		{"watch with retries", ok, e.retryWatcher},
		{"watch that lists", ok, func() (any, error) {
			return e.watch(metav1.ListOptions{SendInitialEvents: &yes, AllowWatchBookmarks: true,
				ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}, isBookmark)
		}},
		{"watch with a selector that ends", ok, func() (any, error) {
			return e.watch(metav1.ListOptions{LabelSelector: "parity=odd", TimeoutSeconds: &second}, untilClosed)
		}},
		{"watch of metadata", ok, e.watchMetadata},
		{"watch from a malformed version", metav1.StatusReasonUnknown, func() (any, error) {
			return e.watch(metav1.ListOptions{ResourceVersion: "x"}, untilClosed)
		}},
		{"watch that lists, without bookmarks", metav1.StatusReasonInvalid, func() (any, error) {
			return e.watch(metav1.ListOptions{SendInitialEvents: &yes}, untilClosed)
		}},
	})
}

func isBookmark(event watch.Event) bool { return event.Type == watch.Bookmark }

func untilClosed(watch.Event) bool { return false }

func nameOf(object runtime.Object) string {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return fmt.Sprintf("%T", object)
	}
	return accessor.GetName()
}

// watch returns the events until the last one, or until the watch ends.
func (e *exerciser) watch(options metav1.ListOptions, isLast func(watch.Event) bool) (any, error) {
	ctx, cancel := e.limited()
	defer cancel()
	watcher, err := e.typed.Watch(ctx, options)
	if err != nil {
		return nil, err
	}
	return events(watcher, isLast), nil
}

func events(watcher watch.Interface, isLast func(watch.Event) bool) []string {
	defer watcher.Stop()
	var all []string
	for event := range watcher.ResultChan() {
		all = append(all, fmt.Sprintf("%s %s", event.Type, nameOf(event.Object)))
		if isLast(event) {
			break
		}
	}
	return all
}

func isDeletion(event watch.Event) bool { return event.Type == watch.Deleted }

// watchAndResume watches from the version of a list, and then from the version of its first event.
func (e *exerciser) watchAndResume() (any, error) {
	current, err := e.typed.List(e.ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	if err := e.change("watched"); err != nil {
		return nil, err
	}
	version := ""
	first, err := e.watch(metav1.ListOptions{ResourceVersion: current.ResourceVersion},
		func(event watch.Event) bool {
			accessor, err := meta.Accessor(event.Object)
			if err == nil && version == "" {
				version = accessor.GetResourceVersion()
			}
			return isDeletion(event)
		})
	if err != nil {
		return nil, err
	}
	resumed, err := e.watch(metav1.ListOptions{ResourceVersion: version, AllowWatchBookmarks: true}, isDeletion)
	return []any{first, resumed}, err
}

func (e *exerciser) retryWatcher() (any, error) {
	current, err := e.typed.List(e.ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	watcher, err := watchtools.NewRetryWatcherWithContext(e.ctx, current.ResourceVersion,
		&cache.ListWatch{WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return e.typed.Watch(ctx, options)
		}})
	if err != nil {
		return nil, err
	}
	if err := e.change("retried"); err != nil {
		return nil, err
	}
	return events(watcher, isDeletion), nil
}

// watchMetadata uses protobuf, in which every API server encodes metadata.
func (e *exerciser) watchMetadata() (any, error) {
	resource := e.metadata.Resource(flunders).Namespace(e.namespace)
	current, err := resource.List(e.ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	if err := e.change("metadata"); err != nil {
		return nil, err
	}
	ctx, cancel := e.limited()
	defer cancel()
	watcher, err := resource.Watch(ctx, metav1.ListOptions{ResourceVersion: current.ResourceVersion})
	if err != nil {
		return nil, err
	}
	return []any{current, events(watcher, isDeletion)}, nil
}

// informers keep a copy of the objects and of their metadata.
func (e *exerciser) informers() error {
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	informers := map[string]cache.SharedIndexInformer{
		"objects": dynamicinformer.NewFilteredDynamicInformer(
			e.dynamic, flunders, e.namespace, 0, cache.Indexers{}, nil).Informer(),
		"metadata": metadatainformer.NewFilteredMetadataInformer(
			e.metadata, flunders, e.namespace, 0, cache.Indexers{}, nil).Informer(),
	}
	for _, name := range []string{"objects", "metadata"} {
		err := e.step("informer of "+name, ok, func() (any, error) { return e.informer(ctx, informers[name]) })
		if err != nil {
			return err
		}
	}
	return nil
}

// informer returns what the informer has after its start, and which changes it then reports.
func (e *exerciser) informer(ctx context.Context, informer cache.SharedIndexInformer) (any, error) {
	var mutex sync.Mutex
	var changes []string
	note := func(change string, object any) {
		mutex.Lock()
		defer mutex.Unlock()
		if object, isObject := object.(runtime.Object); isObject {
			changes = append(changes, change+" "+nameOf(object))
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object any, isInitial bool) {
			if !isInitial {
				note("add", object)
			}
		},
		UpdateFunc: func(_, object any) { note("update", object) },
		DeleteFunc: func(object any) { note("delete", object) },
	})
	if err != nil {
		return nil, err
	}
	go informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return nil, fmt.Errorf("not in sync")
	}
	keys := informer.GetStore().ListKeys()
	sort.Strings(keys)
	if err := e.change("informed"); err != nil {
		return nil, err
	}
	err = e.poll(func() (bool, error) {
		mutex.Lock()
		defer mutex.Unlock()
		return len(changes) == 3, nil
	})
	return []any{keys, changes}, err
}
