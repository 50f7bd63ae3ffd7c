package roles

// Role is one image role of a fleet: what its image is made of, how it is tested and where it goes.
type Role struct {
	// Name is the directory name under roles/.
	Name string
	// File is the path of the definition, relative to the fleet's root (slash separated).
	File string
	// Base says what the image starts from.
	Base Base
	// Provision is applied in order. It is never empty: without one in the definition it is the Ansible role of the same name.
	Provision []Provisioner
	// Build holds the settings of the machine that the image is made on.
	Build Build
	// Verify lists the suites; empty when the role has no tests.
	Verify []Suite
	// Targets names the targets of imgops.yaml that get this role's default; never empty after Load.
	Targets []string

	// Architecture is x86_64 or arm64: that of the external base that the role starts from in the end.
	Architecture string

	// Parent is the role that Base.Role names; nil for an external base.
	Parent *Role
	// Digest is the recipe digest ("sha256:" and 64 hex digits), set by Fleet.Resolve.
	Digest string
	// TestsDigest is the digest of everything that decides the role's verification, set by Fleet.Resolve.
	TestsDigest string
	// Components explain Digest: sorted by Name, set by Fleet.Resolve.
	Components []Component
	// Dirty says that an input of the role, of its tests or of an ancestor differs from the commit.
	Dirty bool

	fleet *Fleet
	def   *definition
	// converted are the files of the recipe that a checkout converts, by their paths in the fleet; testsConverted those of
	// the tests, by their paths in roles/<role>/tests. Both are sorted.
	converted, testsConverted []convertedFile

	parts []part   // the files that count, as whole directories where all of one counts
	seen  *reacher // knows every path whose appearance or change would change parts
	same  *Role    // of the fleet near by, with the same definition, tests and parts; or nil
	tests *tree    // roles/<role>/tests; nil when there is none
	// recipeTree is the parts as one tree rooted at the fleet's root, made on first use: what Materialize writes.
	recipeTree func() (*tree, error)
}

// Base is where a role's image starts: a parent role, a pinned external image, or one image id. Exactly one form is set.
type Base struct {
	Role         string // a role of this fleet
	Owner, Name  string // an external image: account id or alias, and a name pattern with * and ?
	Architecture string // x86_64 (the default) or arm64; with Owner and Name
	Image        string // ami-...
}

// Provisioner is one step of the provisioning; exactly one field is set.
type Provisioner struct {
	Ansible *Ansible
	Shell   *Shell
	Puppet  *Puppet
}

// Ansible applies a playbook of the fleet, or one Ansible role by a generated playbook.
type Ansible struct {
	Playbook string // path relative to the fleet's root; or
	Role     string // the name of an Ansible role
	Vars     map[string]any
}

// Shell runs a script of the fleet on the machine as root.
type Shell struct {
	Script string // path relative to the role's directory
	Env    map[string]string
}

// Puppet applies a manifest of the fleet.
type Puppet struct {
	Manifest string // path relative to the role's directory
}

// Build holds the settings of the machine that an image is made on.
type Build struct {
	InstanceTypes []string // tried in order; default t3.small, or t4g.small for arm64
	DiskGiB       int32    // root volume; 0 keeps the size of the base
	SSHUser       string   // default: the parent's, or admin (Debian's)
	Timeout       Duration // whole bake; default 1h
}

// Suite is one set of tests, run on a fresh machine of the candidate.
type Suite struct {
	Name string
	// Dir is roles/<role>/tests/<name>, relative to the fleet's root.
	Dir string
	// InstanceType of the machine; default: the first of Build.InstanceTypes.
	InstanceType string
	// Wait is what "booted" means: cloud-init (default), systemd or ssh.
	Wait string
	// Timeout of the whole suite; default 15m.
	Timeout Duration
}

// Component is one thing that decides a digest: a file, a variable, the base, the bake format.
type Component struct {
	Name  string // "dir roles/web", "file web.yml", "base", "var web.yml port", "format"
	Value string // "040000 <tree id>", "100644 <blob id>", the base's image id or digest, a canonical JSON value
}

// Input is one file whose content decides a digest.
type Input struct {
	Path string // relative to the fleet's root, slash separated
	Mode uint32 // Git's file mode: 0o100644, 0o100755, 0o120000 (symlink), 0o160000 (submodule)
	Blob string // Git's object id in hex; for a dirty file, the id that Git would give it
}
