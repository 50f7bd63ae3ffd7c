package images

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/require"
)

// lateSSM takes a value only after so many reads, as SSM does with the type aws:ec2:image; never if late is negative.
type lateSSM struct {
	SSMAPI
	late   int
	params map[string]types.Parameter
	put    *ssm.PutParameterInput
	asked  [][]string
	onRead func()
}

func (s *lateSSM) PutParameter(_ context.Context, in *ssm.PutParameterInput, _ ...func(*ssm.Options)) (*ssm.PutParameterOutput, error) {
	s.put = in
	return &ssm.PutParameterOutput{Version: 2}, nil
}

func (s *lateSSM) GetParameter(_ context.Context, in *ssm.GetParameterInput, _ ...func(*ssm.Options)) (*ssm.GetParameterOutput, error) {
	if s.onRead != nil {
		s.onRead()
	}
	if s.put != nil && s.late == 0 {
		s.params[*s.put.Name] = types.Parameter{Name: s.put.Name, Value: s.put.Value, DataType: s.put.DataType, Version: 2}
	}
	s.late--
	p, ok := s.params[*in.Name]
	if !ok {
		return nil, &types.ParameterNotFound{}
	}
	return &ssm.GetParameterOutput{Parameter: &p}, nil
}

func (s *lateSSM) GetParameters(_ context.Context, in *ssm.GetParametersInput, _ ...func(*ssm.Options)) (*ssm.GetParametersOutput, error) {
	s.asked = append(s.asked, in.Names)
	out := &ssm.GetParametersOutput{}
	for _, name := range in.Names {
		if p, ok := s.params[name]; ok {
			out.Parameters = append(out.Parameters, p)
		}
	}
	return out, nil
}

func param(name, image string) types.Parameter {
	return types.Parameter{Name: aws.String(name), Value: aws.String(image), DataType: aws.String(PointerDataType), Version: 1}
}

func TestSetReadsBack(t *testing.T) {
	api := &lateSSM{late: 2, params: map[string]types.Parameter{"/imgops/acme/web/default": param("/imgops/acme/web/default", "ami-old")}}
	got, err := NewPointers(here, "acme", api).Set(t.Context(), "web", "ami-new", "why")
	require.NoError(t, err)
	require.Equal(t, "ami-new", got.Image)
	require.Equal(t, int64(2), got.Version)
	require.Equal(t, PointerDataType, aws.ToString(api.put.DataType), "launch templates ask for the type")
	require.True(t, aws.ToBool(api.put.Overwrite))
}

func TestSetOfAValueThatIsNotTaken(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	api := &lateSSM{late: -1, params: map[string]types.Parameter{"/imgops/acme/web/default": param("/imgops/acme/web/default", "ami-old")}}
	api.onRead = func() { cancel(errors.New("out of time")) }
	_, err := NewPointers(here, "acme", api).Set(ctx, "web", "ami-new", "why")
	require.EqualError(t, err, `reading back the pointer of role web in 111111111111/us-east-1 (it names "ami-old", wanted ami-new): out of time`)
}

func TestGetOfNoPointer(t *testing.T) {
	_, ok, err := NewPointers(here, "acme", &lateSSM{late: -1}).Get(t.Context(), "web")
	require.NoError(t, err)
	require.False(t, ok)
}

func TestOfAsksForTenAtATime(t *testing.T) {
	api := &lateSSM{params: map[string]types.Parameter{}}
	var roles []string
	for i := range 23 {
		role := fmt.Sprintf("role-%d", i)
		roles = append(roles, role)
		if i%2 == 0 {
			api.params[PointerName("acme", role)] = param(PointerName("acme", role), "ami-"+role)
		}
	}
	got, err := NewPointers(here, "acme", api).Of(t.Context(), roles...)
	require.NoError(t, err)
	require.Len(t, got, 12)
	require.Equal(t, "ami-role-22", got["role-22"].Image)
	require.Len(t, api.asked, 3)
	require.Len(t, api.asked[0], 10)
}

func TestRoleOf(t *testing.T) {
	p := NewPointers(here, "acme", nil)
	for name, want := range map[string]string{
		PointerName("acme", "web"): "web", "/imgops/other/web/default": "", "/imgops/acme/web/other": "",
		"/imgops/acme/a/b/default": "", "/imgops/acme/default": "", "/imgops/acme//default": "",
	} {
		role, ok := p.roleOf(name)
		require.Equal(t, want != "", ok, name)
		if ok {
			require.Equal(t, want, role)
		}
	}
}
