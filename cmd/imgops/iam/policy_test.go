package iam

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/roles"
)

func config() roles.Config {
	return roles.Config{
		Fleet: "acme", Build: roles.BuildLocation{Account: "111111111111", Region: "us-east-1"},
		Targets: []roles.Target{
			{Name: "production", Accounts: []string{"222222222222", "333333333333"}, Regions: []string{"us-east-1"}, RoleARN: "arn:aws:iam::{account}:role/imgops", Mode: roles.ModeShare},
			{Name: "vault", Accounts: []string{"444444444444"}, Regions: []string{"us-east-1"}, RoleARN: "arn:aws:iam::{account}:role/imgops", Mode: roles.ModeCopy, KMSKey: map[string]string{"us-east-1": "alias/vault"}},
		},
		Ledger: roles.Ledger{Store: "s3://acme-ledger/fleets"},
	}
}

func actions(p Policy) []string {
	var out []string
	for _, s := range p.Statement {
		out = append(out, s.Action...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// permissionOf names the actions whose calls are called otherwise, and those that need no permission.
var permissionOf = map[string]string{"s3:HeadObject": "s3:GetObject", "sts:GetCallerIdentity": "", "s3:ListObjectsV2": "s3:ListBucket"}

// asked finds the AWS calls in the code: requests (ec2.XInput), and the SDK's paginators and waiters, which make calls, too.
func asked(t *testing.T) []string {
	var out []string
	for _, root := range []string{"builder", "verifier", "promoter", "images", "cmd"} {
		require.NoError(t, filepath.WalkDir(filepath.Join("../../..", root), func(file string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && slices.Contains([]string{"sandbox", "machinetest"}, d.Name()) {
				return fs.SkipDir
			}
			if err != nil || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return err
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			require.NoError(t, err)
			ast.Inspect(parsed, func(n ast.Node) bool {
				if call := callOf(n); call != "" {
					out = append(out, call)
				}
				return true
			})
			return nil
		}))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// callOf gives "ec2:DescribeImages" for ec2.DescribeImagesInput and ec2.NewDescribeImagesPaginator.
func callOf(n ast.Node) string {
	s, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	service, ok := s.X.(*ast.Ident)
	if !ok || !slices.Contains([]string{"ec2", "ssm", "sts", "s3", "kms"}, service.Name) {
		return ""
	}
	name := s.Sel.Name
	if call, ok := strings.CutSuffix(name, "Input"); ok {
		return service.Name + ":" + call
	}
	if call, ok := strings.CutSuffix(name, "Paginator"); ok {
		return service.Name + ":" + strings.TrimPrefix(call, "New")
	}
	if name == "GetCallerIdentity" || name == "NewInstanceTerminatedWaiter" {
		return map[string]string{"GetCallerIdentity": "sts:GetCallerIdentity", "NewInstanceTerminatedWaiter": "ec2:DescribeInstances"}[name]
	}
	return ""
}

// TestActionsAreTheCalls: the build account's policy allows each call that the code makes, and no other action.
func TestActionsAreTheCalls(t *testing.T) {
	want := []string{"sts:AssumeRole", "s3:ListBucket"}
	for _, call := range asked(t) {
		permission, other := permissionOf[call]
		switch {
		case !other:
			want = append(want, call)
		case permission != "":
			want = append(want, permission)
		}
	}
	c := config()
	c.Targets[1].Accounts = append(c.Targets[1].Accounts, c.Build.Account)
	got := slices.DeleteFunc(actions(Build(c)), func(a string) bool { return strings.HasPrefix(a, "kms:") }) // EC2 asks for those in the caller's name
	slices.Sort(want)
	require.Equal(t, slices.Compact(want), got)
}

func TestDuties(t *testing.T) {
	c := config()
	for _, p := range []Policy{Build(c), Target(c, "222222222222"), Target(c, "444444444444"), Read(c, "111111111111"), Trust(c)} {
		for _, s := range p.Statement {
			require.Equal(t, "Allow", s.Effect, s.Sid)
			require.NotEmpty(t, s.Action, s.Sid)
			require.NotEqual(t, len(s.Resource) == 0, len(s.Principal) == 0, "%s has resources, or a principal", s.Sid)
			if slices.Contains(s.Resource, "*") {
				for _, a := range s.Action {
					require.True(t, strings.HasPrefix(a, "ec2:Describe"), "%s on everything", a)
				}
			}
		}
		data, err := json.Marshal(p)
		require.NoError(t, err)
		require.Less(t, len(data), 6144, "a managed policy has at most 6,144 characters (IAM user guide, quotas)")
	}
	require.NotContains(t, actions(Target(c, "222222222222")), "ec2:CopyImage", "a share needs no copy of its own")
	require.Contains(t, actions(Target(c, "444444444444")), "ec2:CopyImage")
	require.Contains(t, actions(Target(c, "444444444444")), "kms:CreateGrant")
	for _, a := range actions(Read(c, "111111111111")) {
		_, verb, _ := strings.Cut(a, ":")
		require.True(t, a == "sts:AssumeRole" || strings.HasPrefix(verb, "Describe") || strings.HasPrefix(verb, "Get") || strings.HasPrefix(verb, "List"), a)
	}
	assume := Build(c).Statement
	i := slices.IndexFunc(assume, func(s Statement) bool { return s.Sid == "Targets" })
	require.Equal(t, []string{"arn:aws:iam::222222222222:role/imgops", "arn:aws:iam::333333333333:role/imgops", "arn:aws:iam::444444444444:role/imgops"}, assume[i].Resource)

	c.Build.Region, c.Ledger.Store = "cn-north-1", roles.LedgerBranch
	require.Equal(t, map[string]string{"AWS": "arn:aws-cn:iam::111111111111:root"}, Trust(c).Statement[0].Principal)
	require.NotContains(t, actions(Build(c)), "s3:PutObject")
}
