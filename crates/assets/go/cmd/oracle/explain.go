package main

import (
	"encoding/json"
	"slices"

	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// request is one line of input. Without a user the request is unauthenticated.
type request struct {
	User            *string  `json:"user"`
	Groups          []string `json:"groups"`
	Verb            string   `json:"verb"`
	ResourceRequest bool     `json:"resourceRequest"`
	Namespace       string   `json:"namespace"`
	APIGroup        string   `json:"apiGroup"`
	APIVersion      string   `json:"apiVersion"`
	Resource        string   `json:"resource"`
	Subresource     string   `json:"subresource"`
	Name            string   `json:"name"`
	Path            string   `json:"path"`
}

// decision is one line of output.
type decision struct {
	Level             auditinternal.Level   `json:"level"`
	OmitStages        []auditinternal.Stage `json:"omitStages"`
	OmitManagedFields bool                  `json:"omitManagedFields"`
}

func explainer(file string) (func(line []byte) ([]byte, error), error) {
	loaded, err := policy.LoadPolicyFromFile(file)
	if err != nil {
		return nil, err
	}
	evaluator := policy.NewPolicyRuleEvaluator(loaded)
	return func(line []byte) ([]byte, error) {
		var asked request
		if err := json.Unmarshal(line, &asked); err != nil {
			return nil, err
		}
		config := evaluator.EvaluatePolicyRule(asked.attributes())
		// The evaluator merges the stages with a map, so their order is random.
		stages := slices.Clone(config.OmitStages)
		slices.Sort(stages)
		if stages == nil {
			stages = []auditinternal.Stage{}
		}
		answer, err := json.Marshal(decision{config.Level, stages, config.OmitManagedFields})
		return append(answer, '\n'), err
	}, nil
}

func (r request) attributes() authorizer.Attributes {
	attributes := authorizer.AttributesRecord{
		Verb:            r.Verb,
		Namespace:       r.Namespace,
		APIGroup:        r.APIGroup,
		APIVersion:      r.APIVersion,
		Resource:        r.Resource,
		Subresource:     r.Subresource,
		Name:            r.Name,
		ResourceRequest: r.ResourceRequest,
		Path:            r.Path,
	}
	// A nil pointer in the interface would not count as "no user".
	if r.User != nil {
		attributes.User = &user.DefaultInfo{Name: *r.User, Groups: r.Groups}
	}
	return attributes
}
