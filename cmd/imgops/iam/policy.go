package iam

import (
	"fmt"
	"slices"
	"strings"

	"github.com/imgops/imgops/roles"
)

// Policy is an IAM policy document.
type Policy struct {
	Version   string      `json:"Version"` // 2012-10-17
	Statement []Statement `json:"Statement"`
}

// Statement is one statement of a policy. Principal is set in a trust policy only, Resource in all others.
type Statement struct {
	Sid       string                         `json:"Sid"`
	Effect    string                         `json:"Effect"` // Allow
	Principal map[string]string              `json:"Principal,omitempty"`
	Action    []string                       `json:"Action"`
	Resource  []string                       `json:"Resource,omitempty"`
	Condition map[string]map[string][]string `json:"Condition,omitempty"` // operator -> key -> values
}

const tagFleet = "imgops:fleet"

// fleet is a fleet in an account: what the statements are filled with.
type fleet struct {
	roles.Config
	account string
}

// Build is for who runs `imgops ci` in the build account: it builds, verifies, promotes, and cleans up; and it may
// assume the roles of the targets.
func Build(c roles.Config) Policy {
	f := fleet{c, c.Build.Account}
	s := append([]Statement{f.look()}, f.launch()...)
	s = append(s, f.launchInto(), f.tagAtBirth("RunInstances", "ImportKeyPair", "CreateSecurityGroup", "CreateImage", "CopyImage"), f.openGroup(), f.machines(), f.createImage())
	s = append(s, f.ownImages()...)
	s = append(s, f.parameters(true), f.assume(), f.keys(), f.ledger(true))
	return policy(s)
}

// Target is for the role of a target account that role_arn in imgops.yaml names: it moves the pointers there, looks at
// the images that are shared with the account, and where the target's mode is copy makes the account's own copies.
func Target(c roles.Config, account string) Policy {
	f := fleet{c, account}
	s := []Statement{f.look(), f.parameters(true)}
	if f.copies() {
		s = append(s, f.tagAtBirth("CopyImage"))
		s = append(s, f.ownImages()...)
		s = append(s, f.keys())
	}
	return policy(s)
}

// Read is for people: plan, list, show, history and diff, in the build account or in a target.
func Read(c roles.Config, account string) Policy {
	f := fleet{c, account}
	s := []Statement{f.look(), f.parameters(false), f.ledger(false)}
	if account == c.Build.Account {
		s = append(s, f.assume())
	}
	return policy(s)
}

// Trust lets the build account assume the role of a target.
func Trust(c roles.Config) Policy {
	f := fleet{c, c.Build.Account}
	return policy([]Statement{{
		Sid: "BuildAccount", Effect: "Allow", Action: []string{"sts:AssumeRole"},
		Principal: map[string]string{"AWS": fmt.Sprintf("arn:%s:iam::%s:root", f.partition(), c.Build.Account)},
	}})
}

// policy leaves out statements that would be about nothing.
func policy(list []Statement) Policy {
	p := Policy{Version: "2012-10-17"}
	for _, s := range list {
		if s.Sid != "" {
			s.Effect = "Allow"
			p.Statement = append(p.Statement, s)
		}
	}
	return p
}

// partition is the ARN partition of the build Region: aws, aws-cn or aws-us-gov.
func (f fleet) partition() string {
	switch region := f.Build.Region; {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// ec2 gives the ARNs of kinds of resources. Images and snapshots have no account in theirs.
func (f fleet) ec2(kinds ...string) []string {
	var out []string
	for _, kind := range kinds {
		owner := f.account
		if kind == "image" || kind == "snapshot" {
			owner = ""
		}
		out = append(out, fmt.Sprintf("arn:%s:ec2:*:%s:%s/*", f.partition(), owner, kind))
	}
	return out
}

func equals(key string, values ...string) map[string]map[string][]string {
	return map[string]map[string][]string{"StringEquals": {key: values}}
}

// copies says that the account, a target, has images of its own.
func (f fleet) copies() bool {
	return slices.ContainsFunc(f.Targets, func(t roles.Target) bool {
		return t.Mode == roles.ModeCopy && slices.Contains(t.Accounts, f.account)
	})
}
