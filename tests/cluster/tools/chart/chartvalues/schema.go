package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	schemaMark      = "@schema "
	descriptionMark = "-- "
)

// value is one key of values.yaml with what its comment says.
type value struct {
	path        []string
	node        *yaml.Node
	description string
	extra       map[string]any
}

func (v value) String() string { return strings.Join(v.path, ".") }

// inner says whether the keys below are values of their own.
func (v value) inner() bool {
	_, open := v.extra["additionalProperties"]
	return v.node.Kind == yaml.MappingNode && len(v.node.Content) > 0 && !open
}

// schemaOf makes the JSON Schema of values.yaml: every object is closed, and every value is described.
func schemaOf(text []byte) ([]byte, error) {
	root, err := read(text)
	if err != nil {
		return nil, err
	}
	schema, err := object(root)
	if err != nil {
		return nil, err
	}
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	properties := schema["properties"].(map[string]any)
	properties["global"] = map[string]any{
		"type": "object", "description": "Values of a parent chart; nothing of it is read.",
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// read parses values.yaml into its topmost value.
func read(text []byte) (value, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return value{}, err
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return value{}, errors.New("values.yaml is no map")
	}
	return value{node: document.Content[0]}, nil
}

// below lists the values one level down.
func below(parent value) ([]value, error) {
	var values []value
	for i := 0; i+1 < len(parent.node.Content); i += 2 {
		key, node := parent.node.Content[i], parent.node.Content[i+1]
		v := value{path: append(append([]string{}, parent.path...), key.Value), node: node}
		if err := v.comment(key.HeadComment); err != nil {
			return nil, fmt.Errorf("%s: %w", v, err)
		}
		values = append(values, v)
	}
	return values, nil
}

// comment takes the description and the schema out of a comment.
func (v *value) comment(text string) error {
	v.extra = map[string]any{}
	describing := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#"))
		switch {
		case strings.HasPrefix(line, schemaMark):
			describing = false
			if err := yaml.Unmarshal([]byte(strings.TrimPrefix(line, schemaMark)), &v.extra); err != nil {
				return fmt.Errorf("its @schema is no YAML: %w", err)
			}
		case strings.HasPrefix(line, descriptionMark):
			v.description, describing = strings.TrimPrefix(line, descriptionMark), true
		case describing && line != "":
			v.description += " " + line
		}
	}
	return nil
}

func object(parent value) (map[string]any, error) {
	properties := map[string]any{}
	values, err := below(parent)
	if err != nil {
		return nil, err
	}
	for _, v := range values {
		schema, err := property(v)
		if err != nil {
			return nil, err
		}
		properties[v.path[len(v.path)-1]] = schema
	}
	return map[string]any{"type": "object", "properties": properties, "additionalProperties": false}, nil
}

func property(v value) (map[string]any, error) {
	schema := map[string]any{}
	if v.inner() {
		closed, err := object(v)
		if err != nil {
			return nil, err
		}
		schema = closed
	} else if err := leaf(v, schema); err != nil {
		return nil, fmt.Errorf("%s: %w", v, err)
	}
	if v.description != "" {
		schema["description"] = v.description
	}
	for key, said := range v.extra {
		schema[key] = said
	}
	return schema, nil
}

func leaf(v value, schema map[string]any) error {
	if v.description == "" {
		return errors.New("it has no description: begin its comment with `# --`")
	}
	said := func(key string) bool { _, ok := v.extra[key]; return ok }
	switch {
	case v.node.Kind == yaml.MappingNode:
		schema["type"] = "object"
		if !said("additionalProperties") {
			return errors.New("an empty map needs `# @schema {additionalProperties: ...}`")
		}
	case v.node.Kind == yaml.SequenceNode:
		schema["type"] = "array"
		if !said("items") {
			return errors.New("a list needs `# @schema {items: ...}`")
		}
	case v.node.Tag == "!!bool":
		schema["type"] = "boolean"
	case v.node.Tag == "!!int":
		schema["type"] = "integer"
	case v.node.Tag == "!!str":
		schema["type"] = "string"
	case !said("type"):
		return fmt.Errorf("a default of %s needs `# @schema {type: ...}`", v.node.Tag)
	}
	var decoded any
	if err := v.node.Decode(&decoded); err != nil {
		return err
	}
	schema["default"] = decoded
	return nil
}

// leaves lists all values that have none below.
func leaves(parent value) ([]value, error) {
	values, err := below(parent)
	if err != nil {
		return nil, err
	}
	var all []value
	for _, v := range values {
		if !v.inner() {
			all = append(all, v)
			continue
		}
		deeper, err := leaves(v)
		if err != nil {
			return nil, err
		}
		all = append(all, deeper...)
	}
	return all, nil
}
