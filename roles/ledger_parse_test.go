package roles

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLedgerForms(t *testing.T) {
	const rest = "version: 1\nfleet: acme\nbuild: {account: \"111111111111\", region: us-east-1}\ntargets: [{name: a, accounts: [\"222222222222\"], regions: [us-east-1]}]\n"
	for form, want := range map[string]Ledger{
		"":                                    {Store: LedgerBranch},
		"ledger: branch":                      {Store: LedgerBranch},
		"ledger: off":                         {Store: LedgerOff},
		"ledger: required":                    {Store: LedgerBranch, Required: true},
		"ledger: s3://acme-ledger":            {Store: "s3://acme-ledger"},
		"ledger: s3://acme-ledger/fleets/one": {Store: "s3://acme-ledger/fleets/one"},
		"ledger: {required: true}":            {Store: LedgerBranch, Required: true},
		"ledger: {store: s3://acme-ledger/a, required: true, region: eu-west-1}": {Store: "s3://acme-ledger/a", Region: "eu-west-1", Required: true},
	} {
		config, problems := parseConfig([]byte(rest + form + "\n"))
		require.Empty(t, problems, form)
		require.Equal(t, want, config.Ledger, form)
	}
	for form, says := range map[string]string{
		"ledger: require":           `ledger "require" is unknown; did you mean "required"?`,
		"ledger: true":              "ledger must be text",
		"ledger:":                   "ledger is empty",
		"ledger: s3://Acme_Ledger":  `ledger "s3://Acme_Ledger" is no place in S3`,
		"ledger: s3://":             "is no place in S3",
		"ledger: [off]":             "ledger must be text, not a list",
		"ledger: {store: required}": "is no place; write `ledger: required`",
		"ledger: {store: branch, region: eu-west-1}": "the ledger has a Region, and is not in S3",
		"ledger: {required: \"yes\"}":                "neither true nor false",
		"ledger: {bucket: x}":                        `ledger has no field "bucket"`,
	} {
		config, problems := parseConfig([]byte(rest + form + "\n"))
		require.Len(t, problems, 1, form)
		require.Contains(t, problems[0].Error(), says)
		require.Equal(t, 5, problems[0].Line)
		require.Equal(t, LedgerBranch, config.Ledger.Store)
	}
}
