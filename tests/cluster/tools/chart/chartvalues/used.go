package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

// checkUsed changes one value after the other, over a file in which every feature is on, and
// renders: a value whose change changes nothing is not used.
func checkUsed(folder, full string) error {
	loaded, err := loader.Load(folder)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(folder, "values.yaml"))
	if err != nil {
		return err
	}
	base, err := common.ReadValuesFile(full)
	if err != nil {
		return err
	}
	root, err := read(text)
	if err != nil {
		return err
	}
	all, err := leaves(root)
	if err != nil {
		return err
	}
	before, err := render(loaded, base)
	if err != nil {
		return fmt.Errorf("%s: %w", full, err)
	}
	var faults []error
	for _, v := range all {
		if err := changes(loaded, base, before, v); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", v, err))
		}
	}
	if len(faults) == 0 {
		fmt.Printf("%d values, and each changes what is rendered\n", len(all))
	}
	return errors.Join(faults...)
}

// changes fails if no other value of v changes what is rendered.
func changes(loaded *chart.Chart, base common.Values, before map[string]string, v value) error {
	current := get(coalesced(loaded, base), v.path)
	other, err := another(v, current)
	if err != nil {
		return err
	}
	changed := deepCopy(base)
	set(changed, v.path, other)
	if err := util.ValidateAgainstSchema(loaded, coalesced(loaded, changed)); err != nil {
		return fmt.Errorf("its example is refused by the schema: %w", err)
	}
	after, err := render(loaded, changed)
	if err != nil {
		// A refusal reads the value, too.
		return nil
	}
	if reflect.DeepEqual(before, after) {
		return errors.New("no template uses it")
	}
	return nil
}

// another is a value that differs: an example of the schema, another member of its enum, or the
// opposite of what is there.
func another(v value, current any) (any, error) {
	for _, key := range []string{"examples", "enum"} {
		candidates, _ := v.extra[key].([]any)
		for _, candidate := range candidates {
			if candidate = deepCopy(candidate); !reflect.DeepEqual(candidate, deepCopy(current)) {
				return candidate, nil
			}
		}
	}
	var standard any
	if err := v.node.Decode(&standard); err != nil {
		return nil, err
	}
	if current == nil {
		current = deepCopy(standard)
	}
	switch current := current.(type) {
	case bool:
		return !current, nil
	case float64:
		return current + 1, nil
	case int64:
		return current + 1, nil
	case []any:
		if len(current) > 0 {
			return current[1:], nil
		}
	case map[string]any:
		if len(current) > 0 {
			return map[string]any{"chartvalues": "other"}, nil
		}
	}
	return nil, errors.New("it needs `# @schema {examples: [...]}` with a value other than its default")
}

func render(loaded *chart.Chart, values common.Values) (map[string]string, error) {
	options := common.ReleaseOptions{Name: "release", Namespace: "namespace", IsInstall: true, Revision: 1}
	full, err := util.ToRenderValues(loaded, values, options, nil)
	if err != nil {
		return nil, err
	}
	return engine.Render(loaded, full)
}

func coalesced(loaded *chart.Chart, values common.Values) map[string]any {
	full, err := util.CoalesceValues(loaded, values)
	if err != nil {
		return values
	}
	return full
}

func get(values map[string]any, path []string) any {
	for _, key := range path[:len(path)-1] {
		values, _ = values[key].(map[string]any)
	}
	return values[path[len(path)-1]]
}

func set(values map[string]any, path []string, to any) {
	for _, key := range path[:len(path)-1] {
		deeper, ok := values[key].(map[string]any)
		if !ok {
			deeper = map[string]any{}
			values[key] = deeper
		}
		values = deeper
	}
	values[path[len(path)-1]] = to
}

// deepCopy copies by way of JSON, which is also how Helm sees values.
func deepCopy[T any](from T) T {
	text, err := json.Marshal(from)
	if err != nil {
		panic(err) // Values are JSON.
	}
	var to T
	if err := json.Unmarshal(text, &to); err != nil {
		panic(err)
	}
	return to
}
