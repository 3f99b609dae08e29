package main

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"k8s.io/sample-apiserver/pkg/apis/wardle/v1alpha1"
	"k8s.io/sample-apiserver/pkg/apis/wardle/v1beta1"
	applyv1alpha1 "k8s.io/sample-apiserver/pkg/generated/applyconfiguration/wardle/v1alpha1"
)

const (
	// parallel is the number of concurrent creates.
	parallel = 16
	// largeAnnotation is almost as long as annotations may be, in bytes.
	largeAnnotation = 250_000
	// tooLargeBody is more than an API server accepts, in bytes.
	tooLargeBody = 4 << 20
)

func flunder(name string) *v1alpha1.Flunder {
	return &v1alpha1.Flunder{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "shop"}},
		Spec:       v1alpha1.FlunderSpec{Reference: "other"},
	}
}

func (e *exerciser) create(flunder *v1alpha1.Flunder, options metav1.CreateOptions) func() (any, error) {
	return func() (any, error) { return e.typed.Create(e.ctx, flunder, options) }
}

func (e *exerciser) get(name string) func() (any, error) {
	return func() (any, error) { return e.typed.Get(e.ctx, name, metav1.GetOptions{}) }
}

// objects creates, reads and replaces objects.
func (e *exerciser) objects() error {
	generated := flunder("")
	generated.GenerateName = "generated-"
	beta := e.clients.WardleV1beta1().Flunders(e.namespace)
	fischers := e.clients.WardleV1alpha1().Fischers()
	fischer := &v1alpha1.Fischer{
		ObjectMeta: metav1.ObjectMeta{Name: e.namespace}, DisallowedFlunders: []string{"refused"},
	}
	inBeta := &v1beta1.Flunder{
		ObjectMeta: metav1.ObjectMeta{Name: "beta"},
		Spec:       v1beta1.FlunderSpec{FischerReference: "f", ReferenceType: v1beta1.FischerReferenceType},
	}
	dryRun := []string{metav1.DryRunAll}
	return e.steps([]step{
		{"create", ok, e.create(flunder("one"), metav1.CreateOptions{})},
		{"get", ok, e.get("one")},
		{"create with a generated name", ok, e.create(generated, metav1.CreateOptions{})},
		{"create, dry run", ok, e.create(flunder("dry"), metav1.CreateOptions{DryRun: dryRun})},
		{"get after the dry run", metav1.StatusReasonNotFound, e.get("dry")},
		{"create a large object", ok, e.create(large("large"), metav1.CreateOptions{})},
		{"get the large object", ok, e.get("large")},
		{"create in v1beta1", ok, func() (any, error) {
			return beta.Create(e.ctx, inBeta, metav1.CreateOptions{})
		}},
		{"get in v1alpha1", ok, e.get("beta")},
		{"get in v1beta1", ok, func() (any, error) { return beta.Get(e.ctx, "one", metav1.GetOptions{}) }},
		{"create without a namespace", ok, func() (any, error) {
			return fischers.Create(e.ctx, fischer, metav1.CreateOptions{})
		}},
		{"create what admission refuses", metav1.StatusReasonForbidden,
			e.create(flunder("refused"), metav1.CreateOptions{})},
		{"delete without a namespace", ok, func() (any, error) {
			return nil, fischers.Delete(e.ctx, e.namespace, metav1.DeleteOptions{})
		}},
		{"update", ok, e.update},
		{"update with retries", ok, e.updateWithRetries},
		{"update an old version", metav1.StatusReasonConflict, e.updateOldVersion},
		{"concurrent creates", ok, e.concurrentCreates},
	})
}

func large(name string) *v1alpha1.Flunder {
	large := flunder(name)
	large.Annotations = map[string]string{"example.com/text": strings.Repeat("x", largeAnnotation)}
	return large
}

func (e *exerciser) update() (any, error) {
	object, err := e.typed.Get(e.ctx, "one", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	object.Labels["updated"] = "true"
	return e.typed.Update(e.ctx, object, metav1.UpdateOptions{FieldManager: "exerciser"})
}

func (e *exerciser) updateOldVersion() (any, error) {
	object, err := e.typed.Get(e.ctx, "one", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	object.Labels["updated"] = "first"
	if _, err := e.typed.Update(e.ctx, object, metav1.UpdateOptions{}); err != nil {
		return nil, err
	}
	object.Labels["updated"] = "second"
	return e.typed.Update(e.ctx, object, metav1.UpdateOptions{})
}

func (e *exerciser) updateWithRetries() (any, error) {
	old, err := e.typed.Get(e.ctx, "one", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	patch := []byte(`{"metadata":{"labels":{"concurrent":"yes"}}}`)
	if _, err := e.typed.Patch(e.ctx, "one", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return nil, err
	}
	attempts := 0
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		attempts++
		object := old
		if attempts > 1 {
			if object, err = e.typed.Get(e.ctx, "one", metav1.GetOptions{}); err != nil {
				return err
			}
		}
		object.Labels["attempts"] = fmt.Sprint(attempts)
		_, err := e.typed.Update(e.ctx, object, metav1.UpdateOptions{})
		return err
	})
	return attempts, err
}

func (e *exerciser) concurrentCreates() (any, error) {
	names, failures := make([]string, parallel), make([]error, parallel)
	var all sync.WaitGroup
	for index := range parallel {
		all.Go(func() {
			created, err := e.typed.Create(
				e.ctx, flunder(fmt.Sprintf("parallel-%02d", index)), metav1.CreateOptions{})
			if names[index], failures[index] = "", err; err == nil {
				names[index] = created.Name
			}
		})
	}
	all.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	sort.Strings(names)
	return names, nil
}

// refusals sends requests that the API server refuses.
func (e *exerciser) refusals() error {
	invalid := &v1beta1.Flunder{
		ObjectMeta: metav1.ObjectMeta{Name: "invalid"}, Spec: v1beta1.FlunderSpec{ReferenceType: "Nothing"}}
	unknownField := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": group + "/v1alpha1", "kind": "Flunder",
		"metadata": map[string]any{"name": "strict"}, "unknown": int64(1)}}
	tooLarge := &v1beta1.Flunder{ObjectMeta: metav1.ObjectMeta{
		Name: "too-large", Annotations: map[string]string{"example.com/text": strings.Repeat("x", tooLargeBody)}}}
	withVersion := flunder("one")
	withVersion.ResourceVersion = "1"
	return e.steps([]step{
		{"create what exists", metav1.StatusReasonAlreadyExists, e.create(flunder("one"), metav1.CreateOptions{})},
		{"create an invalid object", metav1.StatusReasonInvalid, func() (any, error) {
			return e.clients.WardleV1beta1().Flunders(e.namespace).Create(e.ctx, invalid, metav1.CreateOptions{})
		}},
		{"create an invalid name", metav1.StatusReasonInvalid, e.create(flunder("a/b"), metav1.CreateOptions{})},
		{"create with an unknown field", metav1.StatusReasonBadRequest, func() (any, error) {
			return e.resource.Create(e.ctx, unknownField, metav1.CreateOptions{FieldValidation: "Strict"})
		}},
		{"create, with a warning about the field", ok, func() (any, error) {
			return e.resource.Create(e.ctx, unknownField,
				metav1.CreateOptions{FieldValidation: "Warn", DryRun: []string{metav1.DryRunAll}})
		}},
		{"create with a bad option", metav1.StatusReasonInvalid, func() (any, error) {
			return e.typed.Create(e.ctx, flunder("a"), metav1.CreateOptions{DryRun: []string{"Some"}})
		}},
		// In v1beta1: a proxy may refuse it, without the warning of an old version.
		{"create too large a body", metav1.StatusReasonRequestEntityTooLarge, func() (any, error) {
			return e.clients.WardleV1beta1().Flunders(e.namespace).Create(e.ctx, tooLarge, metav1.CreateOptions{})
		}},
		{"create with a version", metav1.StatusReasonUnknown, e.createWithVersion},
		{"get what does not exist", metav1.StatusReasonNotFound, e.get("none")},
		{"update what does not exist", metav1.StatusReasonNotFound, func() (any, error) {
			missing := flunder("none")
			missing.ResourceVersion = "1"
			return e.typed.Update(e.ctx, missing, metav1.UpdateOptions{})
		}},
		{"update without a version", metav1.StatusReasonInvalid, func() (any, error) {
			return e.typed.Update(e.ctx, flunder("one"), metav1.UpdateOptions{})
		}},
		{"update the status", metav1.StatusReasonNotFound, func() (any, error) {
			return e.typed.UpdateStatus(e.ctx, withVersion, metav1.UpdateOptions{})
		}},
		{"delete what does not exist", metav1.StatusReasonNotFound, e.remove("none", metav1.DeleteOptions{})},
		{"get of another resource", metav1.StatusReasonNotFound, func() (any, error) {
			return e.dynamic.Resource(flunders.GroupVersion().WithResource("nothings")).
				Namespace(e.namespace).Get(e.ctx, "a", metav1.GetOptions{})
		}},
		{"create in a namespace that does not exist", metav1.StatusReasonNotFound, func() (any, error) {
			return e.clients.WardleV1alpha1().Flunders("no-namespace").
				Create(e.ctx, flunder("a"), metav1.CreateOptions{})
		}},
	})
}

func (e *exerciser) createWithVersion() (any, error) {
	object := flunder("versioned")
	object.ResourceVersion = "1"
	return e.typed.Create(e.ctx, object, metav1.CreateOptions{})
}

func (e *exerciser) patch(kind types.PatchType, patch string, options metav1.PatchOptions, subresources ...string) func() (any, error) {
	return func() (any, error) {
		return e.typed.Patch(e.ctx, "one", kind, []byte(patch), options, subresources...)
	}
}

// patches changes an object with each kind of patch.
func (e *exerciser) patches() error {
	label := func(name string) string {
		return fmt.Sprintf(`{"metadata":{"labels":{%q:"yes"}}}`, name)
	}
	none := metav1.PatchOptions{}
	apply := func(reference, manager string, force bool) func() (any, error) {
		applied := applyv1alpha1.Flunder("applied", e.namespace).
			WithSpec(applyv1alpha1.FlunderSpec().WithReference(reference))
		return func() (any, error) {
			return e.typed.Apply(e.ctx, applied, metav1.ApplyOptions{FieldManager: manager, Force: force})
		}
	}
	return e.steps([]step{
		{"merge patch", ok, e.patch(types.MergePatchType, label("merge"), none)},
		{"strategic merge patch", ok, e.patch(types.StrategicMergePatchType, label("strategic"), none)},
		{"JSON patch", ok, e.patch(types.JSONPatchType,
			`[{"op":"add","path":"/metadata/labels/json","value":"yes"}]`, none)},
		{"JSON patch with a failing test", metav1.StatusReasonInvalid, e.patch(types.JSONPatchType,
			`[{"op":"test","path":"/metadata/name","value":"two"}]`, none)},
		{"malformed patch", metav1.StatusReasonBadRequest, e.patch(types.MergePatchType, `{`, none)},
		{"patch of an unsupported type", metav1.StatusReasonUnsupportedMediaType,
			e.patch("application/other-patch", `{}`, none)},
		{"patch, dry run", ok, e.patch(types.MergePatchType, label("dry"),
			metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})},
		{"patch of an old version", metav1.StatusReasonConflict,
			e.patch(types.MergePatchType, `{"metadata":{"resourceVersion":"1"}}`, none)},
		{"patch of the status", metav1.StatusReasonNotFound,
			e.patch(types.MergePatchType, `{"status":{}}`, none, "status")},
		{"apply", ok, apply("first", "exerciser", false)},
		{"apply again", ok, apply("first", "exerciser", false)},
		{"apply with a conflict", metav1.StatusReasonConflict, apply("second", "other", false)},
		{"apply with force", ok, apply("second", "other", true)},
		{"apply without a manager", metav1.StatusReasonInvalid,
			e.patch(types.ApplyPatchType, `{"apiVersion":"wardle.example.com/v1alpha1","kind":"Flunder"}`, none)},
		{"get after the patches", ok, e.get("one")},
	})
}

func (e *exerciser) remove(name string, options metav1.DeleteOptions) func() (any, error) {
	return func() (any, error) { return nil, e.typed.Delete(e.ctx, name, options) }
}

// deletions deletes objects with each option.
func (e *exerciser) deletions() error {
	held := flunder("held")
	held.Finalizers = []string{"example.com/hold"}
	propagation := func(policy metav1.DeletionPropagation, dryRun ...string) metav1.DeleteOptions {
		return metav1.DeleteOptions{PropagationPolicy: &policy, DryRun: dryRun}
	}
	seconds := int64(0)
	other := types.UID("other")
	version := "1"
	collection := func(options metav1.DeleteOptions, selector string) func() (any, error) {
		return func() (any, error) {
			return nil, e.typed.DeleteCollection(e.ctx, options, metav1.ListOptions{LabelSelector: selector})
		}
	}
	return e.steps([]step{
		{"delete with another UID", metav1.StatusReasonConflict,
			e.remove("one", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &other}})},
		{"delete an old version", metav1.StatusReasonConflict,
			e.remove("one", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &version}})},
		{"delete, dry run", ok, e.remove("one", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})},
		{"delete in the foreground, dry run", ok,
			e.remove("one", propagation(metav1.DeletePropagationForeground, metav1.DryRunAll))},
		{"delete and orphan, dry run", ok,
			e.remove("one", propagation(metav1.DeletePropagationOrphan, metav1.DryRunAll))},
		{"delete with an unknown propagation", metav1.StatusReasonInvalid, e.remove("one", propagation("Other"))},
		{"delete with this UID", ok, e.removeCurrent},
		{"get after the deletion", metav1.StatusReasonNotFound, e.get("one")},
		{"delete in the background", ok, e.remove("applied", propagation(metav1.DeletePropagationBackground))},
		{"delete without a grace period", ok,
			e.remove("beta", metav1.DeleteOptions{GracePeriodSeconds: &seconds})},
		{"create with a finalizer", ok, e.create(held, metav1.CreateOptions{})},
		{"delete with a finalizer", ok, e.remove("held", metav1.DeleteOptions{})},
		{"get while it is deleted", ok, e.get("held")},
		{"remove the finalizer", ok, func() (any, error) {
			patch := []byte(`{"metadata":{"finalizers":null}}`)
			return e.typed.Patch(e.ctx, "held", types.MergePatchType, patch, metav1.PatchOptions{})
		}},
		{"get after the finalizer", metav1.StatusReasonNotFound, e.get("held")},
		{"delete a collection, dry run", ok,
			collection(metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}, "app")},
		{"delete a collection by label", ok, collection(metav1.DeleteOptions{}, "app=shop")},
		{"list after the deletion", ok, func() (any, error) { return e.typed.List(e.ctx, metav1.ListOptions{}) }},
	})
}

func (e *exerciser) removeCurrent() (any, error) {
	object, err := e.typed.Get(e.ctx, "one", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	preconditions := &metav1.Preconditions{UID: &object.UID, ResourceVersion: &object.ResourceVersion}
	return nil, e.typed.Delete(e.ctx, "one", metav1.DeleteOptions{Preconditions: preconditions})
}

// limited returns a context with a time limit.
func (e *exerciser) limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(e.ctx, patience)
}

// poll calls the function until it returns true.
func (e *exerciser) poll(isDone func() (bool, error)) error {
	deadline := time.Now().Add(patience)
	for {
		if done, err := isDone(); done || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s", patience)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
