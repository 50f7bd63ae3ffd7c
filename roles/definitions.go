package roles

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
)

// definitions remembers, in .git/imgops/definitions, the image.yaml files that were parsed and held no mistake: parsing
// hundreds of them costs more than anything else of a plan. Entries are keyed by name and content, so they never go
// stale; the file may be deleted at any time.
type definitions struct {
	file string

	load sync.Once
	old  map[definitionKey]int // index in kept
	kept []keptDefinition

	mu    sync.Mutex
	known map[definitionKey]*definition // of this process
	added bool
}

// keptDefinition is a definition with names that encoding/gob can see.
type keptDefinition struct {
	File, ID   string
	Data       []byte
	Role       keptRole
	References []keptReference
	Ignore     []string
	Disk, Arch keptPlace
	HasVerify  bool
	Verify     keptPlace
}

type keptRole struct {
	Name, File string
	Base       Base
	Provision  []Provisioner
	Build      keptBuild
	Verify     []keptSuite
	Targets    []string
}

// keptBuild and keptSuite hold the durations as numbers: as a Duration each would be written as text.
type keptBuild struct {
	InstanceTypes []string
	DiskGiB       int32
	SSHUser       string
	Timeout       int64
}

type keptSuite struct {
	Name, Dir, InstanceType, Wait string
	Timeout                       int64
}

type keptReference struct {
	What, Name string
	At         keptPlace
}

type keptPlace struct{ Line, Column int }

const definitionsHead = "imgops definitions 2\n"

func newDefinitions(gitDir string) *definitions {
	return &definitions{file: filepath.Join(gitDir, "imgops", "definitions"), known: map[definitionKey]*definition{}}
}

// get gives a definition by the name of its role's directory, or nil.
func (d *definitions) get(k definitionKey) *definition {
	d.mu.Lock()
	def := d.known[k]
	d.mu.Unlock()
	if def != nil {
		return def
	}
	d.load.Do(d.read)
	i, ok := d.old[k]
	if !ok {
		return nil
	}
	def = d.kept[i].definition()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known[k] = def
	return def
}

func (d *definitions) set(k definitionKey, def *definition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known[k] = def
	d.added = d.added || len(def.source.problems) == 0
}

// registerKinds tells gob of the kinds of variables that it does not know.
func registerKinds() {
	gob.Register(json.Number(""))
	gob.Register([]any{})
	gob.Register(map[string]any{})
}

// read takes a damaged or missing file as empty.
func (d *definitions) read() {
	registerKinds()
	body, ok := readMemory(d.file, definitionsHead)
	if !ok || gob.NewDecoder(strings.NewReader(body)).Decode(&d.kept) != nil {
		d.kept = nil
		return
	}
	d.old = make(map[definitionKey]int, len(d.kept))
	for i := range d.kept {
		k := definitionKey{file: d.kept[i].File}
		if n, err := hex.Decode(k.id[:], []byte(d.kept[i].ID)); err == nil && n == len(k.id) {
			d.old[k] = i
		}
	}
}

// save writes what this process used. It is best effort: nothing depends on the file.
func (d *definitions) save() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.added {
		return
	}
	d.added = false
	registerKinds()
	var list []keptDefinition
	for k, def := range d.known {
		if len(def.source.problems) == 0 {
			list = append(list, keep(k, def))
		}
	}
	encode := func() (*bytes.Buffer, []keptDefinition) {
		b, back := bytes.NewBufferString(definitionsHead), []keptDefinition(nil)
		if gob.NewEncoder(b).Encode(list) != nil || gob.NewDecoder(bytes.NewReader(b.Bytes()[len(definitionsHead):])).Decode(&back) != nil {
			return nil, nil
		}
		return b, back
	}
	body, back := encode()
	exact := list[:0:0]
	for i := range back {
		// A variable that gob cannot carry as it is (an empty list comes back as none) must not change a digest.
		if reflect.DeepEqual(back[i], list[i]) {
			exact = append(exact, list[i])
		}
	}
	if body != nil && len(exact) < len(list) {
		list = exact
		body, _ = encode()
	}
	if body != nil {
		saveMemory(d.file, body.Bytes())
	}
}

func keep(k definitionKey, def *definition) keptDefinition {
	r := def.role
	out := keptDefinition{
		File: k.file, ID: k.id.String(), Data: def.source.data, Ignore: def.ignore, HasVerify: def.hasVerify,
		Disk: keptPlace{def.disk.line, def.disk.column}, Arch: keptPlace{def.arch.line, def.arch.column}, Verify: keptPlace{def.verify.line, def.verify.column},
		Role: keptRole{
			Name: r.Name, File: r.File, Base: r.Base, Provision: r.Provision, Targets: r.Targets,
			Build: keptBuild{r.Build.InstanceTypes, r.Build.DiskGiB, r.Build.SSHUser, int64(r.Build.Timeout)},
		},
	}
	for _, s := range r.Verify {
		out.Role.Verify = append(out.Role.Verify, keptSuite{s.Name, s.Dir, s.InstanceType, s.Wait, int64(s.Timeout)})
	}
	for _, ref := range def.references {
		out.References = append(out.References, keptReference{ref.what, ref.name, keptPlace{ref.at.line, ref.at.column}})
	}
	return out
}

func (k *keptDefinition) definition() *definition {
	r := k.Role
	def := &definition{
		source: &source{file: k.File, data: k.Data}, ignore: k.Ignore, hasVerify: k.HasVerify,
		disk: place{k.Disk.Line, k.Disk.Column}, arch: place{k.Arch.Line, k.Arch.Column}, verify: place{k.Verify.Line, k.Verify.Column},
		role: Role{
			Name: r.Name, File: r.File, Base: r.Base, Provision: r.Provision, Targets: r.Targets,
			Build: Build{r.Build.InstanceTypes, r.Build.DiskGiB, r.Build.SSHUser, Duration(r.Build.Timeout)},
		},
	}
	for _, s := range r.Verify {
		def.role.Verify = append(def.role.Verify, Suite{s.Name, s.Dir, s.InstanceType, s.Wait, Duration(s.Timeout)})
	}
	for _, ref := range k.References {
		def.references = append(def.references, reference{ref.What, ref.Name, place{ref.At.Line, ref.At.Column}})
	}
	return def
}
