// Loads a Compose file with the loader of the Compose Specification, which Docker Compose uses too: its schema, what its
// variables become, and whether what it names is there. Prints the names of its services.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	services, err := load(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(services)
}

func load(path string) ([]string, error) {
	// The environment is all that fills in variables: no file .env that happens to be there.
	options, err := cli.NewProjectOptions([]string{path}, cli.WithOsEnv)
	if err != nil {
		return nil, err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return nil, err
	}
	return project.ServiceNames(), nil
}
