package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

// clouds makes every API client of a run and keeps it: one per service and location, since a client's retry quota is
// its own, and one set of credentials per account.
type clouds struct {
	base  aws.Config
	roles map[string]string // account -> role to assume
	run   string

	mu       sync.Mutex
	accounts map[string]*account
	ec2      map[images.Location]*ec2.Client
	ssm      map[images.Location]*ssm.Client
}

// account is the credentials of an account, checked once.
type account struct {
	once  sync.Once
	creds aws.CredentialsProvider
	err   error
}

var _ images.Clients = (*clouds)(nil)

// errNoCredentials says that nothing in the environment leads to an AWS account.
var errNoCredentials = errors.New("no AWS credentials")

// attempts is how often a call is tried: a promotion to many Regions meets throttles as a matter of course.
const attempts = 8

// newClouds loads the credentials as every AWS tool does, or those of a running sandbox.
func (a *app) newClouds(ctx context.Context, c roles.Config) (*clouds, error) {
	opts := []func(*config.LoadOptions) error{
		config.WithLogger(logging.Nop{}), // what matters comes back as an error
		config.WithRegion(c.Build.Region),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = attempts
				o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(unlessRefused)}, o.Retryables...)
			})
		}),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConnsPerHost = 16
		})),
	}
	sb, err := a.sandbox(ctx)
	if err != nil {
		return nil, err
	}
	if sb != nil {
		opts = append(opts, config.WithBaseEndpoint(sb.URL), config.WithEC2IMDSClientEnableState(1))
		if a.set.Sandbox != "" || a.Getenv("AWS_ACCESS_KEY_ID") == "" {
			opts = append(opts, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("SANDBOX"+c.Build.Account, "sandbox", "")))
		}
	}
	base, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("loading AWS credentials: %w", err)
	}
	base.APIOptions = append(base.APIOptions, a.calls.middleware)
	base.HTTPClient = images.PlainBodies{HTTPClient: base.HTTPClient}
	return &clouds{
		base: base, roles: accountRoles(c), run: a.run(), accounts: map[string]*account{},
		ec2: map[images.Location]*ec2.Client{}, ssm: map[images.Location]*ssm.Client{},
	}, nil
}

// unlessRefused does not try again where nobody listens: that is a sandbox that is gone, and waiting does not bring it back.
func unlessRefused(err error) aws.Ternary {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

// accountRoles says which role leads to each account of the fleet; an account without one is not in the map.
func accountRoles(c roles.Config) map[string]string {
	m := map[string]string{}
	for _, t := range c.Targets {
		for _, id := range t.Accounts {
			if t.RoleARN != "" {
				m[id] = strings.ReplaceAll(t.RoleARN, "{account}", id)
			}
		}
	}
	if c.Build.RoleARN != "" {
		m[c.Build.Account] = strings.ReplaceAll(c.Build.RoleARN, "{account}", c.Build.Account)
	}
	return m
}

// EC2 gives the location's EC2 client.
func (c *clouds) EC2(ctx context.Context, loc images.Location) (*ec2.Client, error) {
	creds, err := c.credentials(ctx, loc.Account)
	if err != nil {
		return nil, err
	}
	return cached(c, c.ec2, loc, func() *ec2.Client { return ec2.NewFromConfig(c.config(creds, loc.Region)) }), nil
}

// SSM gives the location's SSM client.
func (c *clouds) SSM(ctx context.Context, loc images.Location) (*ssm.Client, error) {
	creds, err := c.credentials(ctx, loc.Account)
	if err != nil {
		return nil, err
	}
	return cached(c, c.ssm, loc, func() *ssm.Client { return ssm.NewFromConfig(c.config(creds, loc.Region)) }), nil
}

func cached[T any](c *clouds, m map[images.Location]T, loc images.Location, make func() T) T {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := m[loc]; !ok {
		m[loc] = make()
	}
	return m[loc]
}

func (c *clouds) config(creds aws.CredentialsProvider, region string) aws.Config {
	cfg := c.base.Copy()
	cfg.Region, cfg.Credentials = region, creds
	return cfg
}

// credentials gives an account's credentials: the caller's own, or those of the role that imgops.yaml names. They are
// checked to lead to the account before they are used, because a wrong profile would change the wrong account.
func (c *clouds) credentials(ctx context.Context, id string) (aws.CredentialsProvider, error) {
	c.mu.Lock()
	acc := c.accounts[id]
	if acc == nil {
		acc = &account{}
		c.accounts[id] = acc
	}
	c.mu.Unlock()
	acc.once.Do(func() { acc.creds, acc.err = c.open(ctx, id) })
	return acc.creds, acc.err
}

// accountOf says which account credentials act in. An assumed role's credentials say it themselves (the SDK takes it
// from AssumeRole's answer); of others STS has to be asked.
func (c *clouds) accountOf(ctx context.Context, creds aws.CredentialsProvider) (string, error) {
	v, err := creds.Retrieve(ctx)
	if err != nil || v.AccountID != "" && v.Source == stscreds.ProviderName {
		return v.AccountID, err
	}
	who, err := sts.NewFromConfig(c.config(creds, c.base.Region)).GetCallerIdentity(ctx, nil)
	if err != nil {
		return "", err
	}
	return aws.ToString(who.Account), nil
}

// warm begins to get the credentials of every account of a fleet, in parallel. It does not wait for them, and errors are
// told when the credentials are used.
func (c *clouds) warm(ctx context.Context, conf roles.Config) {
	seen := map[string]bool{}
	for _, l := range append(locations(conf, nil), images.Location{Account: conf.Build.Account}) {
		if !seen[l.Account] {
			seen[l.Account] = true
			go func() { _, _ = c.credentials(ctx, l.Account) }()
		}
	}
}

func (c *clouds) open(ctx context.Context, id string) (aws.CredentialsProvider, error) {
	creds, arn := c.base.Credentials, c.roles[id]
	if _, err := creds.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoCredentials, err)
	}
	if arn != "" {
		creds = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(c.base), arn, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "imgops-" + c.run // it shows up in the other account's CloudTrail
			o.Duration = time.Hour
		}))
	}
	got, err := c.accountOf(ctx, creds)
	if err != nil {
		if arn != "" {
			return nil, fmt.Errorf("assuming %s for account %s: %w", arn, id, err)
		}
		return nil, fmt.Errorf("asking who the AWS credentials belong to: %w", err)
	}
	if got != id {
		if arn != "" {
			return nil, fmt.Errorf("role %s leads to account %s, not to %s; correct role_arn in imgops.yaml", arn, got, id)
		}
		return nil, fmt.Errorf("the credentials belong to account %s, and imgops.yaml names no role that leads to %s; set role_arn there, or use other credentials", got, id)
	}
	return creds, nil
}
