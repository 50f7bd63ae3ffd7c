package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/cmd/imgops/iam"
	"github.com/imgops/imgops/roles"
)

func iamPolicyCommand(a *app) *cobra.Command {
	var account string
	c := &cobra.Command{
		Use:   "iam-policy build|target|trust|read",
		Short: "Print the IAM policy that imgops needs in an account of this fleet",
		Long: "iam-policy prints an IAM policy with the fleet's own accounts, names and keys in it, and nothing that imgops does not need:\n\n" +
			"  build   for who runs 'imgops ci': the CI's identity in the build account\n" +
			"  target  for the role that role_arn names in a target account (--account ID where there are several)\n" +
			"  trust   the trust policy of that role\n" +
			"  read    for people: plan, list, show, history, diff\n\n" +
			"  aws iam create-role --role-name imgops --assume-role-policy-document \"$(imgops iam-policy trust)\"\n" +
			"  aws iam put-role-policy --role-name imgops --policy-name imgops --policy-document \"$(imgops iam-policy target --account 222222222222)\"",
		Args:      oneOf("build", "target", "trust", "read"),
		ValidArgs: []string{"build", "target", "trust", "read"},
		RunE: func(c *cobra.Command, args []string) error {
			repo, err := roles.OpenWorktree(c.Context(), a.set.Dir)
			if err != nil {
				return err
			}
			f, err := loadFleet(c.Context(), repo, "")
			if err != nil {
				return err
			}
			p, err := policyFor(c, f.Config, args[0], account)
			if err != nil {
				return err
			}
			if a.set.Output == "table" { // a policy has no other form for people
				a.set.Output = "json"
			}
			return a.print(p, table{})
		},
	}
	c.Flags().StringVar(&account, "account", "", "the policy is for this `account`")
	return c
}

func policyFor(cmd *cobra.Command, c roles.Config, purpose, account string) (iam.Policy, error) {
	var targets []string
	for _, t := range c.Targets {
		targets = append(targets, t.Accounts...)
	}
	slices.Sort(targets)
	targets = slices.Compact(targets)
	switch {
	case account != "" && account != c.Build.Account && !slices.Contains(targets, account):
		return iam.Policy{}, usagef(cmd, "account %q is not in imgops.yaml; its accounts are %s", account, strings.Join(append(targets, c.Build.Account), ", "))
	case purpose == "build":
		return iam.Build(c), nil
	case purpose == "trust":
		return iam.Trust(c), nil
	case purpose == "read" && account == "":
		return iam.Read(c, c.Build.Account), nil
	case purpose == "read":
		return iam.Read(c, account), nil
	case account == "" && len(targets) > 1:
		return iam.Policy{}, usagef(cmd, "which account? add --account, one of %s", strings.Join(targets, ", "))
	case account == "":
		account = targets[0]
	}
	if !slices.Contains(targets, account) {
		return iam.Policy{}, usagef(cmd, "account %s is no target; %s", account, fmt.Sprintf("the targets are %s", strings.Join(targets, ", ")))
	}
	return iam.Target(c, account), nil
}
