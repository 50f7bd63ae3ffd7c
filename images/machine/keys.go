package machine

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"golang.org/x/crypto/ssh"

	"github.com/imgops/imgops/images"
)

type keyPairAPI interface {
	ImportKeyPair(context.Context, *ec2.ImportKeyPairInput, ...func(*ec2.Options)) (*ec2.ImportKeyPairOutput, error)
	DescribeKeyPairs(context.Context, *ec2.DescribeKeyPairsInput, ...func(*ec2.Options)) (*ec2.DescribeKeyPairsOutput, error)
	DeleteKeyPair(context.Context, *ec2.DeleteKeyPairInput, ...func(*ec2.Options)) (*ec2.DeleteKeyPairOutput, error)
}

// makeKeyPair makes the user's key and the machine's host key here, so that neither is ever made by a stranger or lost
// with an answer, and imports the user's public half.
func (m *Machine) makeKeyPair(ctx context.Context, progress images.Progress) error {
	progress.Say("key pair", "EC2 to import "+m.name)
	if err := m.makeKeys(); err != nil {
		return fmt.Errorf("making the SSH keys of %s: %w", m.name, err)
	}
	if err := m.importKey(ctx); err != nil {
		return fmt.Errorf("importing key pair %s: %w", m.name, err)
	}
	return nil
}

func (m *Machine) makeKeys() error {
	if err := os.MkdirAll(m.spec.WorkDir, 0o700); err != nil {
		return err
	}
	signer, key, err := newKey("imgops " + m.name)
	if err != nil {
		return err
	}
	m.signer = signer
	if m.KeyFile, err = filepath.Abs(filepath.Join(m.spec.WorkDir, "id_ed25519")); err != nil {
		return err
	}
	// Removed first: WriteFile keeps the mode of a file that exists.
	if err := os.Remove(m.KeyFile); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := os.WriteFile(m.KeyFile, key, 0o600); err != nil {
		return err
	}
	host, hostPEM, err := newKey("")
	if err != nil {
		return err
	}
	m.hostKey, m.hostKeyPEM = host.PublicKey(), hostPEM
	return nil
}

func newKey(comment string) (ssh.Signer, []byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.NewSignerFromKey(key)
	return signer, pem.EncodeToMemory(block), err
}

// importKey imports the key. The name can be taken by this very call, when an answer was lost and the SDK repeated it,
// or by an earlier process of the same run, whose private key is gone: both carry our run's tag and are replaced.
func (m *Machine) importKey(ctx context.Context) error {
	ctx, cancel := Answered(ctx)
	defer cancel()
	in := &ec2.ImportKeyPairInput{
		KeyName: aws.String(m.name), PublicKeyMaterial: ssh.MarshalAuthorizedKey(m.signer.PublicKey()),
		TagSpecifications: m.tagged(types.ResourceTypeKeyPair),
	}
	_, err := m.api.ImportKeyPair(ctx, in)
	if images.Code(err) != "InvalidKeyPair.Duplicate" {
		m.keyAsked = true
		return err
	}
	if err := m.ownsKeyPair(ctx); err != nil {
		return err
	}
	m.keyAsked = true
	if _, err := m.api.DeleteKeyPair(ctx, &ec2.DeleteKeyPairInput{KeyName: aws.String(m.name)}); err != nil {
		return fmt.Errorf("replacing the one of this run: %w", err)
	}
	_, err = m.api.ImportKeyPair(ctx, in)
	return err
}

func (m *Machine) ownsKeyPair(ctx context.Context) error {
	out, err := m.api.DescribeKeyPairs(ctx, &ec2.DescribeKeyPairsInput{KeyNames: []string{m.name}})
	if err != nil {
		return fmt.Errorf("looking at the one that exists: %w", err)
	}
	for _, k := range out.KeyPairs {
		if aws.ToString(k.KeyName) == m.name && m.ours(k.Tags) {
			return nil
		}
	}
	return fmt.Errorf("the name is taken by a key pair that is not of run %s; delete it", m.spec.Run)
}

func (m *Machine) deleteKeyPair(ctx context.Context) error {
	if !m.keyAsked {
		return nil
	}
	// Deleting a key pair that does not exist succeeds.
	if _, err := m.api.DeleteKeyPair(ctx, &ec2.DeleteKeyPairInput{KeyName: aws.String(m.name)}); err != nil {
		return fmt.Errorf("key pair %s in %s: %w", m.name, m.spec.Location, err)
	}
	m.keyAsked = false
	return m.removeFiles()
}

// removeFiles removes the private key and the files that name it: what is left of them means a machine that lives.
func (m *Machine) removeFiles() error {
	var errs []error
	for _, file := range []string{m.KeyFile, m.KnownHosts, m.SSHConfig} {
		if file == "" {
			continue
		}
		if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// PublicKey is the user's temporary key as a line of authorized_keys, without a comment. It exists from the KeyPair step on.
func (m *Machine) PublicKey() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(m.signer.PublicKey())))
}

// fingerprint is short and stable: it tells names and tokens apart that had to be cut.
func fingerprint(text string) string {
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%x", sum[:8])
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }
