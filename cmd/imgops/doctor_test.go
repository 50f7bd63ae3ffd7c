package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDoctor: a fleet that is ready, and then one thing after another that is not, all of it told in one run.
func TestDoctor(t *testing.T) {
	w := newAPIWorld(t)
	examine := func(code int) map[string]finding {
		out, _ := w.do(code, "doctor", "-o", "json")
		byCheck := map[string]finding{}
		for _, f := range decode[[]finding](t, out) {
			byCheck[f.Check] = f
		}
		return byCheck
	}
	require.Contains(t, examine(exitError)["repository"].Detail, "no commit")

	bin := t.TempDir() // a computer with Ansible
	for _, name := range []string{"ansible-playbook", "ssh"} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"), 0o755))
	}
	path := os.Getenv("PATH")
	t.Setenv("PATH", bin+string(os.PathListSeparator)+path)
	w.commit("one")
	w.bake() // the base image and the role's
	for check, f := range examine(exitDone) {
		require.Equal(t, "ok", f.Status, "%s: %s", check, f.Detail)
	}

	w.write("roles/web/tests/default/web_spec.rb", "")
	w.write("roles/web/image.yaml", "base: {owner: \"136693071363\", name: \"debian-12-amd64-*\"}\nverify: [{suite: default}]\n")
	w.write("imgops.yaml", `version: 1
fleet: acme
main: trunk
build: {account: "111111111111", region: us-east-1, subnet_id: subnet-0123456789abcdef0}
targets:
  - {name: production, accounts: ["222222222222"], regions: [us-east-1], role_arn: "arn:aws:iam::{account}:role/imgops"}
  - {name: other, accounts: ["333333333333"], regions: [us-east-1]}
`)
	sick := examine(exitError)
	require.Equal(t, "ok", sick["definitions"].Status)
	require.Equal(t, "ok", sick["account 222222222222 us-east-1"].Status)
	require.Contains(t, sick["account 333333333333 us-east-1"].Detail, "set role_arn")
	require.Contains(t, sick["network of build machines"].Detail, "subnet-0123456789abcdef0")
	require.Contains(t, sick["base images"].Detail, "imgops update")
	require.Contains(t, sick["main branch"].Detail, "trunk")

	w.write("roles/web/image.yaml", "base: {rol: web}\n")
	sick = examine(exitError)
	require.Contains(t, sick["definitions"].Detail, "run: imgops validate")
	require.Len(t, sick, 2, "nothing else could be asked")

	w.write("roles/web/image.yaml", "base: {image: ami-0123456789abcdef0}\nverify: [{suite: default}]\n")
	t.Setenv("PATH", t.TempDir())
	sick = examine(exitError)
	require.Contains(t, sick["programs to build"].Detail, "apt-get install ansible-core")
	require.Contains(t, sick["programs to verify"].Detail, "serverspec")
}
