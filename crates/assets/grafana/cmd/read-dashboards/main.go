// Validates Grafana dashboards with the schema from which Grafana's own builders are generated: every
// key of a dashboard, of its panels' options and of their queries must be known and have the right
// type, and no required key may be missing. Arguments: the files.
package main

import (
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func complaints(text []byte) string {
	read := dashboard.Dashboard{}
	if err := read.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		return err.Error()
	}
	var errs cog.BuildErrors
	if err := read.Validate(); err != nil && err.Error() != errs.Error() {
		return err.Error()
	}
	return ""
}

func main() {
	plugins.RegisterDefaultPlugins()
	failed := len(os.Args) < 2
	for _, path := range os.Args[1:] {
		text, err := os.ReadFile(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if found := complaints(text); found != "" {
			fmt.Fprintf(os.Stderr, "%s: %s\n", path, found)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
	fmt.Printf("grafana: %d dashboards read\n", len(os.Args)-1)
}
