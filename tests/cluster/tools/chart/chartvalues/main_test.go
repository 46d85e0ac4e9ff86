package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSchemaClosesObjectsAndKeepsDefaults(t *testing.T) {
	text := `
# @schema {minimum: 0}
# -- How many,
# in two lines.
count: 0

image:
  # -- Whether.
  pull: false
`
	schema, err := schemaOf([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		AdditionalProperties any
		Properties           map[string]struct {
			Type, Description    string
			Default, Minimum     any
			AdditionalProperties any
			Properties           map[string]struct{ Default any }
		}
	}
	if err := json.Unmarshal(schema, &got); err != nil {
		t.Fatal(err)
	}
	count, image := got.Properties["count"], got.Properties["image"]
	if count.Type != "integer" || count.Default != 0.0 || count.Minimum != 0.0 || count.Description != "How many, in two lines." {
		t.Errorf("count: %+v", count)
	}
	if got.AdditionalProperties != false || image.AdditionalProperties != false || image.Properties["pull"].Default != false {
		t.Errorf("open, or a default is lost: %+v", got)
	}
}

func TestSchemaRefusesWhatSaysTooLittle(t *testing.T) {
	cases := map[string]string{
		"a: 1":                       "no description",
		"# -- A.\na: {}":             "additionalProperties",
		"# -- A.\na: []":             "items",
		"# -- A.\na: null":           "type",
		"# @schema {\n# -- A.\na: 1": "no YAML",
	}
	for text, want := range cases {
		if _, err := schemaOf([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestAValueThatNoTemplateUsesIsFound(t *testing.T) {
	chart := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(chart, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	values := "# -- A.\nused: false\n# @schema {examples: [x]}\n# -- B.\nunused: \"\"\n"
	write("Chart.yaml", "apiVersion: v2\nname: c\nversion: 0.1.0\n")
	write("values.yaml", values)
	write("templates/a.yaml", "a: {{ .Values.used }}\n")
	write("full.yaml", "{}")
	err := checkUsed(chart, filepath.Join(chart, "full.yaml"))
	if err == nil || err.Error() != "unused: no template uses it" {
		t.Fatalf("%v", err)
	}
	write("templates/a.yaml", "a: {{ .Values.used }}{{ .Values.unused }}\n")
	if err := checkUsed(chart, filepath.Join(chart, "full.yaml")); err != nil {
		t.Fatal(err)
	}
}
