package main

import (
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
)

// sightings counts the notifications of the informers.
type sightings struct {
	mutex sync.Mutex
	// seen counts by informer, kind of change and name of the object.
	seen map[string]int
}

// informers starts one informer of objects and one of metadata, and waits until both are in sync.
func (c *check) informers() (*sightings, error) {
	seen := &sightings{seen: map[string]int{}}
	full := dynamicinformer.NewFilteredDynamicInformer(
		c.dynamic, c.gvr, c.namespace, 0, cache.Indexers{}, nil).Informer()
	partial := metadatainformer.NewFilteredMetadataInformer(
		c.metadata, c.gvr, c.namespace, 0, cache.Indexers{}, nil).Informer()
	for name, informer := range map[string]cache.SharedIndexInformer{"full": full, "metadata": partial} {
		if _, err := informer.AddEventHandler(seen.handler(name)); err != nil {
			return nil, err
		}
		go informer.Run(c.ctx.Done())
	}
	deadline := time.Now().Add(patience)
	for !full.HasSynced() || !partial.HasSynced() {
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("not in sync after %s", patience)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return seen, nil
}

func (s *sightings) handler(informer string) cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { s.note(informer, "add", object) },
		UpdateFunc: func(_, object any) { s.note(informer, "update", object) },
		DeleteFunc: func(object any) {
			if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = gone.Obj
			}
			s.note(informer, "delete", object)
		},
	}
}

func (s *sightings) note(informer, change string, object any) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.seen[informer+" "+change+" "+accessor.GetName()]++
}

// wait returns when both informers have reported the change.
func (s *sightings) wait(change, name string) error {
	deadline := time.Now().Add(patience)
	for {
		s.mutex.Lock()
		both := s.seen["full "+change+" "+name] > 0 && s.seen["metadata "+change+" "+name] > 0
		s.mutex.Unlock()
		if both {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no %s of %s after %s", change, name, patience)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
