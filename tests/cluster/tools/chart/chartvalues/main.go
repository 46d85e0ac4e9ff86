// Command chartvalues looks after the values of a chart.
//
//	chartvalues schema CHART             prints values.schema.json, made from the comments of values.yaml
//	chartvalues used CHART VALUES-FILE   fails if a value changes nothing in what the chart renders
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "chartvalues:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "schema":
		text, err := os.ReadFile(filepath.Join(args[1], "values.yaml"))
		if err != nil {
			return err
		}
		schema, err := schemaOf(text)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(schema)
		return err
	case len(args) == 3 && args[0] == "used":
		return checkUsed(args[1], args[2])
	}
	return fmt.Errorf("usage: chartvalues schema CHART | chartvalues used CHART VALUES-FILE")
}
