package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"go.yaml.in/yaml/v3"

	"github.com/imgops/imgops/roles"
)

// table is a result for people; the same result as data goes beside it to app.print.
type table struct {
	Header []string
	Rows   [][]string
}

func (t *table) add(cells ...string) {
	for i, c := range cells {
		if c == "" {
			cells[i] = "-"
		}
		cells[i] = strings.ReplaceAll(cells[i], "\n", "; ") // a row is a line
	}
	t.Rows = append(t.Rows, cells)
}

// print writes a result to standard output in the chosen format. Nothing else writes there.
func (a *app) print(data any, t table) error {
	switch a.set.Output {
	case "json":
		b, err := marshal(data)
		if err != nil {
			return err
		}
		_, err = a.Stdout.Write(b)
		return err
	case "yaml":
		b, err := marshal(data)
		if err != nil {
			return err
		}
		var tree yaml.Node // JSON is YAML: the keys keep their names and order
		if err := yaml.Unmarshal(b, &tree); err != nil {
			return fmt.Errorf("encoding the result: %w", err)
		}
		block(&tree)
		enc := yaml.NewEncoder(a.Stdout)
		enc.SetIndent(2)
		return enc.Encode(&tree)
	}
	var b bytes.Buffer // tabwriter writes cell by cell
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	if len(t.Header) > 0 {
		fmt.Fprintln(w, strings.Join(t.Header, "\t"))
	}
	for _, r := range t.Rows {
		cells := make([]string, len(r))
		for i, cell := range r {
			cells[i] = roles.Printable(cell)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	_, err := b.WriteTo(a.Stdout)
	return err
}

func marshal(data any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(data); err != nil {
		return nil, fmt.Errorf("encoding the result: %w", err)
	}
	return b.Bytes(), nil
}

// block turns the flow style of JSON into YAML's own, and lets the encoder choose the quotes.
func block(n *yaml.Node) {
	if len(n.Content) > 0 {
		n.Style = 0
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		n.Style = 0
	}
	for _, c := range n.Content {
		block(c)
	}
}

// short is a digest for people: its first 12 hex digits.
func short(digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	if len(hex) > 12 {
		hex = hex[:12]
	}
	return hex
}

// shortCommit is a commit id for people; it keeps the mark of a dirty tree.
func shortCommit(c string) string {
	id, rest, dirty := strings.Cut(c, "-")
	if len(id) > 10 {
		id = id[:10]
	}
	if dirty {
		return id + "-" + rest
	}
	return id
}
