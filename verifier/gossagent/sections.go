package gossagent

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/goss-org/goss"
	"go.yaml.in/yaml/v3"
)

// checkSections refuses a goss file with a section that goss does not know: goss itself passes over it in silence, and
// a misspelt section is one that is never tested.
func checkSections(file, vars string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	filter, err := goss.NewTemplateFilter(vars, "")
	if err != nil {
		return err
	}
	if data, err = filter(data); err != nil {
		return err
	}
	var sections map[string]yaml.Node
	if err := yaml.Unmarshal(data, &sections); err != nil {
		return err
	}
	known := Sections()
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		if !slices.Contains(known, name) && !AuthorsOwn(name) {
			node := sections[name]
			return fmt.Errorf("line %d: unknown section %q; goss knows %s", node.Line, name, strings.Join(known, ", "))
		}
	}
	return nil
}

// AuthorsOwn says that a section's name is left to the author, for YAML anchors: those that begin with x-, _ or a dot.
func AuthorsOwn(name string) bool {
	return slices.ContainsFunc([]string{"x-", "_", "."}, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// Sections are the names that goss knows at the top of a goss file.
func Sections() []string {
	var names []string
	for field := range reflect.TypeFor[goss.GossConfig]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		names = append(names, name)
	}
	return names
}
