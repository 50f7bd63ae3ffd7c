package images

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// Clients gives the API clients of a location: those of the build account, or of a target account by its role. An
// implementation checks that the credentials lead to the account before it gives a client out, and hands the same
// client to every caller (a client's retry quota is its own).
type Clients interface {
	EC2(ctx context.Context, loc Location) (*ec2.Client, error)
	SSM(ctx context.Context, loc Location) (*ssm.Client, error)
}
