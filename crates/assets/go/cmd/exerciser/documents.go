package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/sample-apiserver/pkg/generated/clientset/versioned"
)

const groupPath = "/apis/" + group + "/v1alpha1"

// raw sends a request with these headers, each "name: value", and expects this code. It returns the
// code, the headers that describe the content, and the normalized body.
func (e *exerciser) raw(code int, method, path, body string, headers ...string) func() (any, error) {
	return func() (any, error) {
		ctx, cancel := e.limited()
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, method, e.config.Host+path, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		for _, header := range headers {
			name, value, _ := strings.Cut(header, ": ")
			request.Header.Set(name, value)
		}
		response, err := e.http.Do(request)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		content, err := decoded(response)
		if err != nil {
			return nil, err
		}
		if response.StatusCode != code {
			e.unexpected = append(e.unexpected, fmt.Errorf("%s %s: %s instead of %d", method, path, response.Status, code))
		}
		described := []string{fmt.Sprint(response.StatusCode)}
		for _, name := range []string{"Content-Type", "Content-Encoding", "Vary", "Cache-Control", "Warning"} {
			if value := response.Header.Get(name); value != "" {
				described = append(described, name+": "+value)
			}
		}
		return append(described, content), nil
	}
}

// decoded returns the body. One that is not JSON contains UIDs and times that are not removed, so it
// is left out.
func decoded(response *http.Response) (string, error) {
	var reader io.Reader = response.Body
	if response.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if reader, err = gzip.NewReader(reader); err != nil {
			return "", err
		}
	}
	content, err := io.ReadAll(reader)
	if err != nil {
		return "", err
	}
	if !strings.Contains(response.Header.Get("Content-Type"), "json") {
		return "not JSON", nil
	}
	return normalizedLines(content), nil
}

// representations reads objects in each form.
func (e *exerciser) representations() error {
	collection := groupPath + "/namespaces/" + e.namespace + "/flunders"
	table := "Accept: application/json;as=Table;v=v1;g=meta.k8s.io"
	metadata := "Accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
	metadatas := "Accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
	if _, err := e.typed.Create(e.ctx, large("large"), metav1.CreateOptions{}); err != nil {
		return err
	}
	json := "Content-Type: application/json"
	return e.steps([]step{
		{"object as a table", ok, e.raw(200, "GET", collection+"/item-0", "", table)},
		{"list as a table", ok, e.raw(200, "GET", collection, "", table)},
		{"list as a table with objects", ok, e.raw(200, "GET", collection+"?includeObject=Object", "", table)},
		{"watch as tables", ok, e.raw(200, "GET", collection+"?watch=1&timeoutSeconds=1", "", table)},
		{"object as metadata", ok, e.raw(200, "GET", collection+"/item-0", "", metadata)},
		{"list as metadata", ok, e.raw(200, "GET", collection, "", metadatas)},
		{"list in protobuf", ok, e.raw(406, "GET", collection, "", "Accept: application/vnd.kubernetes.protobuf")},
		{"metadata in protobuf", ok, func() (any, error) {
			return e.metadata.Resource(flunders).Namespace(e.namespace).Get(e.ctx, "item-0", metav1.GetOptions{})
		}},
		{"list in YAML", ok, e.raw(200, "GET", collection, "", "Accept: application/yaml")},
		{"list in CBOR", ok, e.raw(406, "GET", collection, "", "Accept: application/cbor")},
		{"list in an unknown form", ok, e.raw(406, "GET", collection, "", "Accept: text/csv")},
		{"list, compressed", ok, e.raw(200, "GET", collection, "", "Accept-Encoding: gzip")},
		{"object, pretty", ok, e.raw(200, "GET", collection+"/item-0?pretty=true", "")},
		{"head of an object", ok, e.raw(405, "HEAD", collection+"/item-0", "")},
		{"options of a collection", ok, e.raw(405, "OPTIONS", collection, "")},
		{"within a time", ok, e.raw(200, "GET", collection+"/item-0?timeout=10s", "")},
		{"within a malformed time", ok, e.raw(400, "GET", collection+"/item-0?timeout=x", "")},
		{"malformed JSON", ok, e.raw(400, "POST", collection, "{", json)},
		{"another kind", ok, e.raw(400, "POST", collection, `{"kind":"Other","apiVersion":"v1"}`, json)},
		{"no body", ok, e.raw(400, "POST", collection, "", json)},
		{"unsupported media type", ok, e.raw(415, "POST", collection, "a,b", "Content-Type: text/csv")},
		{"method that is not allowed", ok, e.raw(405, "PUT", collection, "{}", json)},
		{"unknown subresource", ok, e.raw(404, "GET", collection+"/item-0/nothing", "")},
	})
}

// documents reads discovery and OpenAPI.
func (e *exerciser) documents() error {
	client, err := discovery.NewDiscoveryClientForConfig(e.config)
	if err != nil {
		return err
	}
	return e.steps([]step{
		{"resources of the version", ok, func() (any, error) {
			return client.ServerResourcesForGroupVersion(group + "/v1alpha1")
		}},
		{"versions of the group", ok, func() (any, error) { return serverGroup(client) }},
		{"aggregated discovery", ok, e.raw(200, "GET", "/apis/"+group, "",
			"Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json")},
		{"unknown path below the version", ok, e.raw(404, "GET", groupPath+"/nothing", "")},
		{"OpenAPI v3", ok, func() (any, error) { return e.openAPI("/openapi/v3" + groupPath) }},
		{"OpenAPI v2", ok, func() (any, error) { return e.openAPI("/openapi/v2") }},
	})
}

func serverGroup(client discovery.DiscoveryInterface) (any, error) {
	groups, err := client.ServerGroups()
	if err != nil {
		return nil, err
	}
	index := slices.IndexFunc(groups.Groups, func(other metav1.APIGroup) bool { return other.Name == group })
	if index < 0 {
		return nil, fmt.Errorf("no group %s", group)
	}
	return groups.Groups[index], nil
}

// openAPI returns the digest of the group's paths in a document. kube-apiserver collects the
// documents of API servers in the background, so they are awaited.
func (e *exerciser) openAPI(path string) (any, error) {
	client, err := rest.HTTPClientFor(e.config)
	if err != nil {
		return nil, err
	}
	var result []any
	err = e.poll(func() (bool, error) {
		response, err := client.Get(e.config.Host + path)
		if err != nil {
			return false, err
		}
		defer response.Body.Close()
		var document struct {
			Paths map[string]any `json:"paths"`
		}
		if response.StatusCode != http.StatusOK || json.NewDecoder(response.Body).Decode(&document) != nil {
			return false, nil
		}
		result = nil
		for name := range document.Paths {
			if !strings.HasPrefix(name, "/apis/"+group) {
				delete(document.Paths, name)
			}
		}
		text, err := json.Marshal(document.Paths)
		result = append(result, len(document.Paths), digest(text))
		return len(document.Paths) > 0, err
	})
	return result, err
}

// impersonation sends requests as other users.
func (e *exerciser) impersonation(impersonator *rest.Config) error {
	as := func(user rest.ImpersonationConfig) func() (any, error) {
		return func() (any, error) {
			config := rest.CopyConfig(impersonator)
			config.Impersonate = user
			clients, err := versioned.NewForConfig(config)
			if err != nil {
				return nil, err
			}
			return clients.WardleV1alpha1().Flunders(e.namespace).Get(e.ctx, "item-0", metav1.GetOptions{})
		}
	}
	return e.steps([]step{
		{"as a user with rights", ok, as(rest.ImpersonationConfig{UserName: "alice"})},
		{"as a user with groups and extra fields", ok, as(rest.ImpersonationConfig{
			UserName: "carol", UID: "u-1", Groups: []string{"devs", "system:masters"},
			Extra: map[string][]string{"scopes": {"a", "b"}, "example.org/Key": {"c d", "ü"}}})},
		{"as a user without rights", metav1.StatusReasonForbidden, as(rest.ImpersonationConfig{UserName: "mallory"})},
		{"as another user without the right to", metav1.StatusReasonForbidden, func() (any, error) {
			config := rest.CopyConfig(e.config)
			config.Impersonate = rest.ImpersonationConfig{UserName: "carol"}
			clients, err := versioned.NewForConfig(config)
			if err != nil {
				return nil, err
			}
			return clients.WardleV1alpha1().Flunders(e.namespace).List(e.ctx, metav1.ListOptions{})
		}},
		{"delete everything", ok, func() (any, error) {
			err := e.typed.DeleteCollection(e.ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
			if err != nil && !errors.IsNotFound(err) {
				return nil, err
			}
			return nil, nil
		}},
	})
}
