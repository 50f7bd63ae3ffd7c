package roles

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// configParser reads imgops.yaml.
type configParser struct {
	*source
	config Config
	taken  map[string]string // "account in Region" -> the target that has it
	places map[string]place  // target name -> where it stands
}

// parseConfig gives the configuration with its defaults, and what is wrong with the file.
func parseConfig(data []byte) (Config, []Problem) {
	p := &configParser{
		source: &source{file: configFile, data: data},
		config: Config{Main: DefaultMain, Retention: Retention{Keep: DefaultKeep, MinAge: DefaultMinAge}, Ledger: Ledger{Store: LedgerBranch}},
		taken:  map[string]string{}, places: map[string]place{},
	}
	root := p.parse(configFile)
	if root == nil {
		return p.config, p.problems
	}
	p.mapping(root, configFile, fields{
		"version":   p.version,
		"fleet":     func(n *yaml.Node) { p.config.Fleet, _ = p.name(n, "fleet", maxFleetName) },
		"main":      p.main,
		"build":     p.build,
		"targets":   p.targets,
		"retention": p.retention,
		"ledger":    p.ledger,
		"max_base_age": func(n *yaml.Node) {
			if v, ok := p.duration(n, "max_base_age"); ok {
				p.config.MaxBaseAge = v
			}
		},
		"settings": p.settings,
	}, "version", "fleet", "build", "targets")
	return p.config, p.problems
}

// settings are the defaults of the command line's global flags. What they mean is the business of cmd/imgops, which
// reads them by itself; here only mistakes are found.
func (p *configParser) settings(n *yaml.Node) {
	flag := func(n *yaml.Node) {
		if n.Tag != "!!bool" {
			p.add(at(n), fmt.Sprintf("%q is neither true nor false", n.Value), "write true or false")
		}
	}
	known := fields{
		"output":   func(n *yaml.Node) { p.word(n, "output", "table", "json", "yaml") },
		"parallel": func(n *yaml.Node) { p.number(n, "parallel", 1) },
		"quiet":    flag,
		"no-color": flag,
		"debug":    flag,
	}
	for key := range pairsOf(resolveAlias(n)) {
		if key == "allow_forks" || key == "allow-forks" { // a fork's pull request brings its own imgops.yaml
			known[key] = func(n *yaml.Node) {
				p.add(at(n), "whether forks are built is not the fleet's to say: a fork's imgops.yaml would allow it itself",
					"delete this, and set IMGOPS_ALLOW_FORKS=true, or pass --allow-forks, in the CI job")
			}
		}
	}
	p.mapping(n, "settings", known)
}

func (p *configParser) version(n *yaml.Node) {
	v, ok := p.number(n, "version", 1)
	if ok && v != 1 {
		p.add(at(n), fmt.Sprintf("version %d is newer than this imgops reads", v), "write version: 1, or install the imgops that the fleet was made for")
	}
	p.config.Version = v
}

func (p *configParser) main(n *yaml.Node) {
	v, ok := p.text(n, "main")
	if !ok {
		return
	}
	if strings.HasPrefix(v, "origin/") || strings.HasPrefix(v, "refs/") || strings.ContainsAny(v, " ~^:?*[\\") {
		p.add(at(n), fmt.Sprintf("main %q is not the name of a branch", v), "write the branch alone, such as main")
		return
	}
	p.config.Main = v
}

func (p *configParser) build(n *yaml.Node) {
	b := &p.config.Build
	p.mapping(n, "build", fields{
		"account":  func(n *yaml.Node) { b.Account, _ = p.account(n, "build account") },
		"region":   func(n *yaml.Node) { b.Region, _ = p.region(n, "build Region") },
		"role_arn": func(n *yaml.Node) { b.RoleARN, _ = p.roleARN(n) },
		"ssh_cidr": func(n *yaml.Node) {
			v, ok := p.text(n, "ssh_cidr")
			if _, err := netip.ParsePrefix(v); ok && err != nil {
				p.add(at(n), fmt.Sprintf("ssh_cidr %q is not a CIDR", v), "write an address range such as 203.0.113.7/32")
			}
			b.SSHCIDR = v
		},
		"subnet_id": func(n *yaml.Node) {
			v, ok := p.text(n, "subnet_id")
			if ok && !strings.HasPrefix(v, "subnet-") {
				p.add(at(n), fmt.Sprintf("subnet_id %q is not a subnet's id", v), "write an id that starts with subnet-")
			}
			b.SubnetID = v
		},
	}, "account", "region")
	if strings.Contains(b.RoleARN, "{account}") {
		b.RoleARN = strings.ReplaceAll(b.RoleARN, "{account}", b.Account)
	}
}

func (p *configParser) roleARN(n *yaml.Node) (string, bool) {
	return p.form(n, "role_arn", roleARNForm(), "the ARN of an IAM role", "write arn:aws:iam::{account}:role/NAME")
}

func (p *configParser) targets(n *yaml.Node) {
	if resolved := resolveAlias(n); resolved.Kind == yaml.SequenceNode && len(resolved.Content) == 0 {
		p.add(at(n), "targets is empty", "add the accounts and Regions that get the role defaults: {name: ..., accounts: [...], regions: [...]}")
	}
	p.list(n, "targets", p.target)
}

func (p *configParser) target(n *yaml.Node) {
	t := Target{Mode: ModeShare}
	accounts, regions, arn := []place(nil), []place(nil), place{}
	p.mapping(n, "target", fields{
		"name":     func(n *yaml.Node) { t.Name = p.targetName(n) },
		"accounts": func(n *yaml.Node) { t.Accounts, accounts = p.unique(n, "account", p.account) },
		"regions":  func(n *yaml.Node) { t.Regions, regions = p.unique(n, "Region", p.region) },
		"role_arn": func(n *yaml.Node) { t.RoleARN, _ = p.roleARN(n); arn = at(n) },
		"mode": func(n *yaml.Node) {
			if v, ok := p.word(n, "mode", ModeShare, ModeCopy); ok {
				t.Mode = v
			}
		},
		"kms_key": func(n *yaml.Node) { t.KMSKey = p.kmsKeys(n) },
	}, "name", "accounts", "regions")
	if len(t.Accounts) > 1 && t.RoleARN != "" && !strings.Contains(t.RoleARN, "{account}") {
		p.add(arn, fmt.Sprintf("role_arn %q names one account, and the target has %d", t.RoleARN, len(t.Accounts)), "write {account} in place of the account's id")
	}
	p.overlap(t, accounts, regions)
	p.config.Targets = append(p.config.Targets, t)
}

func (p *configParser) targetName(n *yaml.Node) string {
	v, ok := p.name(n, "target name", maxRoleName)
	if first, twice := p.places[v]; ok && twice {
		p.add(at(n), fmt.Sprintf("target %q is there twice", v), fmt.Sprintf("rename this one or the one in line %d, or merge the two", first.line))
	}
	p.places[v] = at(n)
	return v
}

// unique reads a list in which each value may stand once.
func (p *configParser) unique(n *yaml.Node, what string, read func(*yaml.Node, string) (string, bool)) (values []string, places []place) {
	if resolved := resolveAlias(n); resolved.Kind == yaml.SequenceNode && len(resolved.Content) == 0 {
		p.add(at(n), "the target has no "+what, "add at least one")
	}
	p.list(n, what+"s", func(item *yaml.Node) {
		v, ok := read(item, what)
		if !ok {
			return
		}
		if i := slices.Index(values, v); i >= 0 {
			p.add(at(item), fmt.Sprintf("%s %s is there twice", what, v), fmt.Sprintf("delete this one or the one in line %d, column %d", places[i].line, places[i].column))
			return
		}
		values, places = append(values, v), append(places, at(item))
	})
	return values, places
}

// overlap refuses two targets for one account and Region: a location has one default per role.
func (p *configParser) overlap(t Target, accounts, regions []place) {
	for i, account := range t.Accounts {
		for _, region := range t.Regions {
			key := account + " in " + region
			if other, ok := p.taken[key]; ok && other != t.Name {
				p.add(accounts[i], fmt.Sprintf("account %s is in target %q already", key, other),
					fmt.Sprintf("delete the account or the Region from %q or from %q: each location has one default per role", t.Name, other))
				break
			}
			p.taken[key] = t.Name
		}
	}
}

func (p *configParser) kmsKeys(n *yaml.Node) map[string]string {
	keys := map[string]string{}
	resolved := resolveAlias(n)
	if resolved.Kind != yaml.MappingNode {
		p.add(at(n), "kms_key must be a mapping, not "+kind(n), "write {us-east-1: alias/NAME}")
		return nil
	}
	for i := 0; i+1 < len(resolved.Content); i += 2 {
		region, ok := p.region(resolved.Content[i], "Region of kms_key")
		key, valid := p.text(resolved.Content[i+1], "kms_key")
		if _, twice := keys[region]; ok && twice {
			p.add(at(resolved.Content[i]), fmt.Sprintf("kms_key has %q twice", region), "delete one of the two")
		}
		if ok && valid {
			keys[region] = key
		}
	}
	return keys
}

func (p *configParser) retention(n *yaml.Node) {
	r := &p.config.Retention
	p.mapping(n, "retention", fields{
		"keep": func(n *yaml.Node) {
			if v, ok := p.number(n, "keep", 1); ok {
				r.Keep = v
			}
		},
		"min_age": func(n *yaml.Node) {
			if v, ok := p.duration(n, "min_age"); ok {
				r.MinAge = v
			}
		},
		"deprecate_for": func(n *yaml.Node) {
			if v, ok := p.duration(n, "deprecate_for"); ok {
				r.DeprecateFor = v
			}
		},
	})
}
