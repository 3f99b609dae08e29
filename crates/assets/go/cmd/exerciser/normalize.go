package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// longText is the length from which a text is printed as its digest.
const longText = 4096

// ignored are fields that differ between two runs.
var ignored = map[string]bool{
	"uid": true, "resourceVersion": true, "creationTimestamp": true, "deletionTimestamp": true,
	"time": true, "continue": true,
}

// varying are parts of texts that differ between two runs, with what is printed instead.
var varying = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "UID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`ResourceVersion in record \(\d+\)`), "ResourceVersion in record"},
	{regexp.MustCompile(`ResourceVersion in object meta: \d+`), "ResourceVersion in object meta"},
	{regexp.MustCompile(`\bgenerated-[a-z0-9]{5}\b`), "generated-NAME"},
}

// normalizedJSON returns the value as JSON, without what differs between two runs.
func normalizedJSON(value any) (string, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	return normalizedText(text)
}

func normalizedText(text []byte) (string, error) {
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return "", err
	}
	normalized, err := json.Marshal(normalized(value))
	return string(normalized), err
}

func normalized(value any) any {
	switch value := value.(type) {
	case map[string]any:
		kept := map[string]any{}
		for key, member := range value {
			if !ignored[key] {
				kept[key] = normalized(member)
			}
		}
		return kept
	case []any:
		for index, item := range value {
			value[index] = normalized(item)
		}
		return value
	case string:
		for _, part := range varying {
			value = part.pattern.ReplaceAllString(value, part.instead)
		}
		if len(value) > longText {
			return digest([]byte(value))
		}
		return value
	default:
		return value
	}
}

// digest returns the length and the SHA-256 of a long text.
func digest(text []byte) string {
	return fmt.Sprintf("%d bytes %x", len(text), sha256.Sum256(text))
}

// normalizedLines normalizes a body of JSON, or of one JSON object on each line. Another body is
// printed as its digest.
func normalizedLines(body []byte) string {
	if text, err := normalizedText(body); err == nil {
		return text
	}
	var lines []string
	for _, line := range strings.Split(strings.TrimSpace(string(body)), "\n") {
		text, err := normalizedText([]byte(line))
		if err != nil {
			return digest(body)
		}
		lines = append(lines, text)
	}
	return strings.Join(lines, " ")
}
