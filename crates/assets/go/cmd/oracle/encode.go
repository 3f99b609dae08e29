package main

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/audit"
)

func encoder(encoding string) (func(line []byte) ([]byte, error), error) {
	var encode func(event *auditinternal.Event) ([]byte, error)
	switch encoding {
	case "v1":
		// Like the log backend; the codec ends the line.
		codec := audit.Codecs.LegacyCodec(auditv1.SchemeGroupVersion)
		encode = func(event *auditinternal.Event) ([]byte, error) { return runtime.Encode(codec, event) }
	case "kasten":
		// The internal struct has no JSON tags, so its keys are the names of Go's fields.
		encode = func(event *auditinternal.Event) ([]byte, error) {
			line, err := json.Marshal(event)
			return append(line, '\n'), err
		}
	default:
		return nil, fmt.Errorf("unknown encoding %q", encoding)
	}
	decoder := audit.Codecs.UniversalDecoder()
	return func(line []byte) ([]byte, error) {
		event := &auditinternal.Event{}
		if err := runtime.DecodeInto(decoder, line, event); err != nil {
			return nil, err
		}
		return encode(event)
	}, nil
}
