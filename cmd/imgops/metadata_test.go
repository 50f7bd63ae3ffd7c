package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/imgops/imgops/images"
)

var metadataHome = images.Location{Account: "222222222222", Region: "eu-west-1"}

const metadataUserData = "#!/bin/sh\ncloud-init query instance_id > /var/tmp/first-boot\n"

// imdsShell are the functions of a shell inside a machine: get PATH asks as IMDSv2 has it, v1 PATH without a token; both print
// the status when it is not 200.
const imdsShell = `imds=http://169.254.169.254/latest
ask() { curl -s -o /tmp/answer -w '%{http_code}' "$@" > /tmp/status; [ "$(cat /tmp/status)" = 200 ] && cat /tmp/answer || cat /tmp/status; }
v1() { ask "$imds/$1"; }
token() { curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $imds/api/token; }
get() { ask -H "X-aws-ec2-metadata-token: $(token)" "$imds/$1"; }
`

// sniff prints the TTL of the answers of the metadata service to the commands that it is given.
const sniff = `import socket, subprocess, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
s.settimeout(2)
subprocess.run(["sh", "-c", sys.argv[1]], check=True, stdout=subprocess.DEVNULL)
ttls = set()
try:
    while True:
        p = s.recv(65535)
        head = (p[0] & 15) * 4
        if p[12:16] == socket.inet_aton("169.254.169.254") and int.from_bytes(p[2:4], "big") > head + (p[head + 12] >> 4) * 4:
            ttls.add(p[8])  # a packet with an answer in it
except TimeoutError:
    print(sorted(ttls))
`

// TestMetadataInMachines looks at the metadata service from inside a machine, which an SDK launched and whose host key the
// console output tells.
func TestMetadataInMachines(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a real machine; run without -short")
	}
	w := newRealWorld(t)
	w.sandboxUp(t, "nspawn")
	m := w.keyedMachine(t)
	doc := decode[map[string]any](t, m.sh(t, "get dynamic/instance-identity/document"))
	for key, want := range map[string]string{"instanceId": m.id, "region": "eu-west-1", "accountId": "222222222222", "availabilityZone": "eu-west-1b", "imageId": m.image, "instanceType": "t3.small",
		"privateIp": m.address, "architecture": "x86_64"} {
		require.Equal(t, want, doc[key], key)
	}
	for path, want := range map[string]string{
		"meta-data/instance-id": m.id, "meta-data/placement/region": "eu-west-1", "meta-data/placement/availability-zone": "eu-west-1b",
		"user-data": strings.TrimSpace(metadataUserData), "meta-data/public-keys/": "0=me", "meta-data/public-keys/0/openssh-key": m.public + " me",
		"meta-data/tags/instance": "Name\nimgops:role", "meta-data/tags/instance/imgops:role": "web", "meta-data/nothing": "404",
	} {
		require.Equal(t, want, m.sh(t, "get "+path), path)
	}
	require.Equal(t, m.id, m.sh(t, "cloud-init status --wait > /dev/null; cat /var/tmp/first-boot"), "cloud-init has run the user data")
	require.Equal(t, "401", m.sh(t, "v1 meta-data/instance-id"), "version 1 is refused when tokens are required")
	require.Equal(t, "401", m.sh(t, `ask -H "X-aws-ec2-metadata-token: none" $imds/meta-data/`))
	require.Equal(t, "[1]", m.sniff(t, "token"), "a token is not passed on beyond one hop")

	m.options(t, &ec2.ModifyInstanceMetadataOptionsInput{HttpTokens: types.HttpTokensStateOptional, HttpPutResponseHopLimit: aws.Int32(5), InstanceMetadataTags: types.InstanceMetadataTagsStateDisabled})
	require.Equal(t, m.id, m.sh(t, "v1 meta-data/instance-id"), "version 1 is answered when it may be")
	require.Equal(t, "404", m.sh(t, "get meta-data/tags/"), "tags only when allowed")
	require.Equal(t, "[5]", m.sniff(t, "token"))
	m.options(t, &ec2.ModifyInstanceMetadataOptionsInput{HttpEndpoint: types.InstanceMetadataEndpointStateDisabled})
	require.NotEqual(t, m.id, m.sh(t, "v1 meta-data/instance-id"), "switched off")
}

// keyedMachine is a running machine that is reached with a key pair of EC2, and whose host key is known from the console.
type keyedMachine struct {
	*realWorld
	api                        *ec2.Client
	id, image, address, public string
}

func (w *realWorld) keyedMachine(t *testing.T) *keyedMachine {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "key"), pem.EncodeToMemory(block), 0o600))
	line, err := ssh.NewPublicKey(public)
	require.NoError(t, err)
	m := &keyedMachine{realWorld: w, api: w.ec2(t, metadataHome), public: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line)))}
	_, err = m.api.ImportKeyPair(t.Context(), &ec2.ImportKeyPairInput{KeyName: aws.String("me"), PublicKeyMaterial: []byte(m.public)})
	require.NoError(t, err)
	base, err := m.api.DescribeImages(t.Context(), &ec2.DescribeImagesInput{Owners: []string{debianOwner}})
	require.NoError(t, err)
	m.image = *base.Images[0].ImageId
	out, err := m.api.RunInstances(t.Context(), &ec2.RunInstancesInput{ImageId: &m.image, InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1), KeyName: aws.String("me"),
		UserData: aws.String(base64.StdEncoding.EncodeToString([]byte(metadataUserData))), Placement: &types.Placement{AvailabilityZone: aws.String("eu-west-1b")},
		MetadataOptions:   &types.InstanceMetadataOptionsRequest{HttpTokens: types.HttpTokensStateRequired, HttpPutResponseHopLimit: aws.Int32(1), InstanceMetadataTags: types.InstanceMetadataTagsStateEnabled},
		TagSpecifications: []types.TagSpecification{{ResourceType: "instance", Tags: []types.Tag{{Key: aws.String("Name"), Value: aws.String("m")}, {Key: aws.String("imgops:role"), Value: aws.String("web")}}}}})
	require.NoError(t, err)
	m.id, m.address = *out.Instances[0].InstanceId, *out.Instances[0].PrivateIpAddress
	m.knowHost(t)
	return m
}

// knowHost waits for the host keys on the console, between cloud-init's marks as on EC2, and lets ssh know no others.
func (m *keyedMachine) knowHost(t *testing.T) {
	t.Helper()
	m.poll(t, "the host keys on the console", func(ctx context.Context) (bool, error) {
		out, err := m.api.GetConsoleOutput(ctx, &ec2.GetConsoleOutputInput{InstanceId: &m.id, Latest: aws.Bool(true)})
		if err != nil {
			return false, err
		}
		text, err := base64.StdEncoding.DecodeString(aws.ToString(out.Output))
		if err != nil {
			return false, err
		}
		_, keys, begun := strings.Cut(string(text), "-----BEGIN SSH HOST KEY KEYS-----")
		keys, _, ended := strings.Cut(keys, "-----END SSH HOST KEY KEYS-----")
		if !begun || !ended {
			return false, nil
		}
		var known strings.Builder
		for _, key := range strings.Split(strings.TrimSpace(strings.ReplaceAll(keys, "\r", "")), "\n") {
			known.WriteString(m.address + " " + key + "\n")
		}
		return true, os.WriteFile(filepath.Join(m.dir, "known_hosts"), []byte(known.String()), 0o600)
	})
}

func (m *keyedMachine) ssh(t *testing.T, stdin, command string) string {
	t.Helper()
	cmd := m.command(m.dir, "ssh", "-F", "none", "-i", filepath.Join(m.dir, "key"), "-o", "UserKnownHostsFile="+filepath.Join(m.dir, "known_hosts"), "-o", "StrictHostKeyChecking=yes",
		"-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-l", "admin", m.address, command)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", command, out)
	return strings.TrimSpace(string(out))
}

// sh runs a line of the shell that has imdsShell's functions.
func (m *keyedMachine) sh(t *testing.T, line string) string {
	t.Helper()
	return m.ssh(t, imdsShell+line+"\n", "sh -s")
}

func (m *keyedMachine) sniff(t *testing.T, line string) string {
	t.Helper()
	return m.ssh(t, "cat > /tmp/sniff.py <<'END'\n"+sniff+"END\nsudo python3 /tmp/sniff.py '"+strings.ReplaceAll(imdsShell+line, "'", `'\''`)+"'\n", "sh -s")
}

func (m *keyedMachine) options(t *testing.T, in *ec2.ModifyInstanceMetadataOptionsInput) {
	t.Helper()
	in.InstanceId = &m.id
	_, err := m.api.ModifyInstanceMetadataOptions(t.Context(), in)
	require.NoError(t, err)
}
