package promoter

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/imgops/imgops/images"
)

func (c *cloud) answerSSM(loc images.Location, in any) (any, error) {
	switch in := in.(type) {
	case *ssm.GetParametersInput:
		out := &ssm.GetParametersOutput{}
		for _, name := range in.Names {
			if p, ok := c.params[loc][name]; ok {
				out.Parameters = append(out.Parameters, p)
			}
		}
		return out, nil
	case *ssm.GetParameterInput:
		p, ok := c.params[loc][*in.Name]
		if !ok {
			return nil, &ssmtypes.ParameterNotFound{}
		}
		return &ssm.GetParameterOutput{Parameter: &p}, nil
	case *ssm.GetParametersByPathInput:
		out := &ssm.GetParametersByPathOutput{}
		for name, p := range c.params[loc] {
			if strings.HasPrefix(name, *in.Path+"/") {
				out.Parameters = append(out.Parameters, p)
			}
		}
		return out, nil
	case *ssm.GetParameterHistoryInput:
		if _, ok := c.params[loc][*in.Name]; !ok {
			return nil, &ssmtypes.ParameterNotFound{}
		}
		return &ssm.GetParameterHistoryOutput{Parameters: slices.Clone(c.history[loc.String()+*in.Name])}, nil
	case *ssm.DeleteParameterInput:
		if _, ok := c.params[loc][*in.Name]; !ok {
			return nil, &ssmtypes.ParameterNotFound{}
		}
		delete(c.params[loc], *in.Name)
		delete(c.history, loc.String()+*in.Name)
		return &ssm.DeleteParameterOutput{}, nil
	case *ssm.PutParameterInput:
		return c.put(loc, in)
	}
	return nil, fmt.Errorf("the cloud in memory does not know %T", in)
}

// put keeps a value of type aws:ec2:image only if it names an available image that the account sees, and tells nobody.
func (c *cloud) put(loc images.Location, in *ssm.PutParameterInput) (any, error) {
	old, exists := c.params[loc][*in.Name]
	if exists && !aws.ToBool(in.Overwrite) {
		return nil, &ssmtypes.ParameterAlreadyExists{}
	}
	out := &ssm.PutParameterOutput{Version: old.Version + 1}
	if aws.ToString(in.DataType) == images.PointerDataType {
		f, ok := c.images[*in.Value]
		visible := ok && f.region == loc.Region && (*f.OwnerId == loc.Account || slices.Contains(f.users, loc.Account))
		if !visible || f.looks == 0 || f.ready != "available" {
			return out, nil
		}
	}
	if c.params[loc] == nil {
		c.params[loc] = map[string]ssmtypes.Parameter{}
	}
	c.params[loc][*in.Name] = ssmtypes.Parameter{Name: in.Name, Value: in.Value, DataType: in.DataType, Version: out.Version}
	key := loc.String() + *in.Name
	c.history[key] = append(c.history[key], ssmtypes.ParameterHistory{
		Name: in.Name, Value: in.Value, DataType: in.DataType, Description: in.Description, Version: out.Version,
	})
	return out, nil
}

// pointer is what a role's pointer names.
func (c *cloud) pointer(account, region, role string) string {
	return aws.ToString(c.params[images.Location{Account: account, Region: region}][images.PointerName("acme", role)].Value)
}
