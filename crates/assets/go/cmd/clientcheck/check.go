package main

import (
	"bufio"
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
)

type check struct {
	ctx          context.Context
	gvr          schema.GroupVersionResource
	namespace    string
	template     *unstructured.Unstructured
	dynamic      dynamic.Interface
	resource     dynamic.ResourceInterface
	metadata     metadata.Interface
	patch        []byte
	subresources []string
}

func (c *check) all(commands *bufio.Reader) error {
	seen, err := c.informers()
	if err != nil {
		return fmt.Errorf("informers: %w", err)
	}
	fmt.Println("informers synced")

	first, err := c.create()
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if err := seen.wait("add", first.GetName()); err != nil {
		return err
	}
	fmt.Println("add seen")
	if _, err := c.resource.Patch(c.ctx, first.GetName(), types.MergePatchType, c.patch,
		metav1.PatchOptions{}, c.subresources...); err != nil {
		return fmt.Errorf("patch: %w", err)
	}
	if err := seen.wait("update", first.GetName()); err != nil {
		return err
	}
	fmt.Println("update seen")

	second, err := c.resume()
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	fmt.Println("watch resumed from a revision")
	if err := c.watchList(); err != nil {
		return fmt.Errorf("watch-list: %w", err)
	}
	fmt.Println("watch-list ended with its bookmark")
	if err := c.pages(); err != nil {
		return fmt.Errorf("paging: %w", err)
	}
	fmt.Println("pages complete")

	fmt.Println("waiting")
	if _, err := commands.ReadString('\n'); err != nil {
		return fmt.Errorf("no command: %w", err)
	}
	third, err := c.createPatiently()
	if err != nil {
		return fmt.Errorf("create after the restart: %w", err)
	}
	if err := seen.wait("add", third.GetName()); err != nil {
		return err
	}
	fmt.Println("add seen after the restart")
	for _, object := range []*unstructured.Unstructured{first, second, third} {
		if err := c.resource.Delete(c.ctx, object.GetName(), metav1.DeleteOptions{}); err != nil {
			return fmt.Errorf("delete: %w", err)
		}
		if err := seen.wait("delete", object.GetName()); err != nil {
			return err
		}
	}
	fmt.Println("deletes seen")
	return nil
}

func (c *check) create() (*unstructured.Unstructured, error) {
	return c.resource.Create(c.ctx, c.template.DeepCopy(), metav1.CreateOptions{})
}

// createPatiently retries until the server is available again through the aggregator.
func (c *check) createPatiently() (*unstructured.Unstructured, error) {
	var created *unstructured.Unstructured
	err := wait.PollUntilContextTimeout(c.ctx, 200*time.Millisecond, patience, true,
		func(context.Context) (bool, error) {
			var err error
			created, err = c.create()
			return err == nil, nil
		})
	return created, err
}

// resume lists, creates an object, and watches from the list's revision: the change must arrive.
func (c *check) resume() (*unstructured.Unstructured, error) {
	listed, err := c.resource.List(c.ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	created, err := c.create()
	if err != nil {
		return nil, err
	}
	watcher, err := c.resource.Watch(c.ctx, metav1.ListOptions{
		ResourceVersion: listed.GetResourceVersion(), AllowWatchBookmarks: true,
	})
	if err != nil {
		return nil, err
	}
	defer watcher.Stop()
	return created, await(watcher, func(event watch.Event) (bool, error) {
		object, ok := event.Object.(*unstructured.Unstructured)
		return ok && event.Type == watch.Added && object.GetName() == created.GetName(), nil
	})
}

// watchList requests the initial state as a watch: every object, then the bookmark that ends it.
func (c *check) watchList() error {
	listed, err := c.resource.List(c.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	sendInitialEvents := true
	watcher, err := c.resource.Watch(c.ctx, metav1.ListOptions{
		SendInitialEvents:    &sendInitialEvents,
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
		AllowWatchBookmarks:  true,
	})
	if err != nil {
		return err
	}
	defer watcher.Stop()
	added := map[string]bool{}
	return await(watcher, func(event watch.Event) (bool, error) {
		object, ok := event.Object.(*unstructured.Unstructured)
		switch {
		case !ok:
			return false, fmt.Errorf("unexpected %s: %v", event.Type, event.Object)
		case event.Type == watch.Added:
			added[object.GetName()] = true
		case event.Type == watch.Bookmark:
			if object.GetAnnotations()[metav1.InitialEventsAnnotationKey] != "true" {
				return false, nil
			}
			for _, item := range listed.Items {
				if !added[item.GetName()] {
					return false, fmt.Errorf("%s was not among the initial events", item.GetName())
				}
			}
			return true, nil
		}
		return false, nil
	})
}

// pages lists with pages of one object and compares with a list without paging.
func (c *check) pages() error {
	whole, err := c.resource.List(c.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if len(whole.Items) < 2 {
		return fmt.Errorf("%d objects make no pages", len(whole.Items))
	}
	found := 0
	options := metav1.ListOptions{Limit: 1}
	for {
		page, err := c.resource.List(c.ctx, options)
		if err != nil {
			return err
		}
		found += len(page.Items)
		if options.Continue = page.GetContinue(); options.Continue == "" {
			break
		}
	}
	if found != len(whole.Items) {
		return fmt.Errorf("%d objects in pages, %d in one piece", found, len(whole.Items))
	}
	return nil
}

// await reads events until done returns true or an error.
func await(watcher watch.Interface, done func(event watch.Event) (bool, error)) error {
	timeout := time.After(patience)
	for {
		select {
		case event, open := <-watcher.ResultChan():
			if !open {
				return fmt.Errorf("the watch ended")
			}
			if finished, err := done(event); finished || err != nil {
				return err
			}
		case <-timeout:
			return fmt.Errorf("waited in vain")
		}
	}
}
