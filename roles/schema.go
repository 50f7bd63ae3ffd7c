package roles

import "embed"

//go:embed schema/image.json schema/imgops.json
var schemas embed.FS

// SchemaNames are the names that Schema knows: the definition of a role, and the fleet's own file.
func SchemaNames() []string { return []string{"image", "imgops"} }

// Schema gives the JSON Schema (draft 7, which YAML editors read) of image.yaml or imgops.yaml, by its name in
// SchemaNames; nil for any other name. It accepts all that Load accepts; what only Load sees (references to files and
// roles, doubles) is the business of `imgops validate`.
func Schema(name string) []byte {
	data, err := schemas.ReadFile("schema/" + name + ".json")
	if err != nil {
		return nil
	}
	return data
}
