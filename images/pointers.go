package images

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// PointerDataType is the data type that launch templates ask of a parameter that names an image.
const PointerDataType = "aws:ec2:image"

// SSMAPI is what Pointers needs of SSM.
type SSMAPI interface {
	ssm.GetParametersByPathAPIClient
	GetParameters(context.Context, *ssm.GetParametersInput, ...func(*ssm.Options)) (*ssm.GetParametersOutput, error)
	GetParameter(context.Context, *ssm.GetParameterInput, ...func(*ssm.Options)) (*ssm.GetParameterOutput, error)
	PutParameter(context.Context, *ssm.PutParameterInput, ...func(*ssm.Options)) (*ssm.PutParameterOutput, error)
	DeleteParameter(context.Context, *ssm.DeleteParameterInput, ...func(*ssm.Options)) (*ssm.DeleteParameterOutput, error)
	ssm.GetParameterHistoryAPIClient
}

// Pointer is a role's default in one location.
type Pointer struct {
	Role     string
	Location Location
	Image    string
	DataType string // PointerDataType, unless somebody wrote the parameter by hand
	Version  int64
	Modified time.Time
}

// Pointers reads and moves the role pointers of one fleet in one location.
type Pointers struct {
	loc   Location
	fleet string
	api   SSMAPI
}

// NewPointers gives the pointers of a fleet in a location.
func NewPointers(loc Location, fleet string, api SSMAPI) *Pointers {
	return &Pointers{loc: loc, fleet: fleet, api: api}
}

// OpenPointers gives the pointers of a fleet in a location, with the location's client.
func OpenPointers(ctx context.Context, clients Clients, loc Location, fleet string) (*Pointers, error) {
	api, err := clients.SSM(ctx, loc)
	if err != nil {
		return nil, fmt.Errorf("connecting to SSM of %s: %w", loc, err)
	}
	return NewPointers(loc, fleet, api), nil
}

// PointerName is the name of the SSM parameter that names a role's default image.
func PointerName(fleet, role string) string { return "/imgops/" + fleet + "/" + role + "/default" }

// All reads every pointer of the fleet, keyed by role.
func (p *Pointers) All(ctx context.Context) (map[string]Pointer, error) {
	found, err := p.everything(ctx)
	return found.pointers, err
}

// parameters are those of a fleet in a location.
type parameters struct {
	pointers map[string]Pointer // by role
	holds    map[string]Hold    // by role; in the build location
	rejected []Image            // whose rejections are kept; in the build location
	intents  []Intent           // in the build location
}

// everything reads the fleet's parameters in the location.
func (p *Pointers) everything(ctx context.Context) (parameters, error) {
	found := parameters{pointers: map[string]Pointer{}, holds: map[string]Hold{}}
	in := &ssm.GetParametersByPathInput{Path: aws.String("/imgops/" + p.fleet), Recursive: aws.Bool(true), MaxResults: aws.Int32(10)}
	for pages := ssm.NewGetParametersByPathPaginator(p.api, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return parameters{}, fmt.Errorf("reading the pointers of fleet %s in %s: %w", p.fleet, p.loc, err)
		}
		for _, e := range page.Parameters {
			if role, ok := p.roleOf(aws.ToString(e.Name)); ok {
				found.pointers[role] = p.pointer(role, e)
			}
			if role, ok := heldRole(p.fleet, aws.ToString(e.Name)); ok {
				found.holds[role] = readHold(role, e)
			}
			if img, ok := readRejection(p.fleet, e); ok {
				found.rejected = append(found.rejected, img)
			}
			if isIntent(p.fleet, e) {
				found.intents = append(found.intents, readIntent(e))
			}
		}
	}
	return found, nil
}

// Of reads the pointers of some roles, ten in a call (the most that SSM takes), keyed by role. A role without a pointer
// is missing from the map.
func (p *Pointers) Of(ctx context.Context, roles ...string) (map[string]Pointer, error) {
	found := map[string]Pointer{}
	for chunk := range slices.Chunk(roles, 10) {
		in := &ssm.GetParametersInput{}
		for _, role := range chunk {
			in.Names = append(in.Names, PointerName(p.fleet, role))
		}
		out, err := p.api.GetParameters(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("reading the pointers of fleet %s in %s: %w", p.fleet, p.loc, err)
		}
		for _, e := range out.Parameters {
			if role, ok := p.roleOf(aws.ToString(e.Name)); ok {
				found[role] = p.pointer(role, e)
			}
		}
	}
	return found, nil
}

// Get reads one role's pointer; ok is false where there is none.
func (p *Pointers) Get(ctx context.Context, role string) (ptr Pointer, ok bool, err error) {
	out, err := p.api.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(PointerName(p.fleet, role))})
	if Code(err) == "ParameterNotFound" {
		return Pointer{}, false, nil
	}
	if err != nil {
		return Pointer{}, false, fmt.Errorf("reading the pointer of role %s in %s: %w", role, p.loc, err)
	}
	return p.pointer(role, *out.Parameter), true, nil
}

// Set moves a role's pointer to an image and reads it back until it says so: SSM checks a value of type aws:ec2:image
// after it has answered, so neither the answer nor its version says that the value was taken (SSM API, PutParameter).
func (p *Pointers) Set(ctx context.Context, role, image, description string) (Pointer, error) {
	_, err := p.api.PutParameter(ctx, &ssm.PutParameterInput{
		Name: aws.String(PointerName(p.fleet, role)), Value: aws.String(image), Type: types.ParameterTypeString,
		DataType: aws.String(PointerDataType), Overwrite: aws.Bool(true), Description: aws.String(description),
	})
	if err != nil {
		return Pointer{}, fmt.Errorf("moving the pointer of role %s in %s to %s: %w", role, p.loc, image, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute,
		fmt.Errorf("SSM did not take the value: is %s available to account %s in %s?", image, p.loc.Account, p.loc.Region))
	defer cancel()
	var ptr Pointer
	err = Poll(ctx, func(ctx context.Context) (bool, error) {
		got, ok, err := p.Get(ctx, role)
		ptr = got
		return ok && got.Image == image && got.DataType == PointerDataType, err
	})
	if err != nil {
		return ptr, fmt.Errorf("reading back the pointer of role %s in %s (it names %q, wanted %s): %w", role, p.loc, ptr.Image, image, err)
	}
	return ptr, nil
}

// Delete removes a role's pointer, with its history; it is no error when there is none.
func (p *Pointers) Delete(ctx context.Context, role string) error {
	_, err := p.api.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: aws.String(PointerName(p.fleet, role))})
	if err != nil && Code(err) != "ParameterNotFound" {
		return fmt.Errorf("removing the pointer of role %s in %s: %w", role, p.loc, err)
	}
	return nil
}

// PointerVersion is one of the values that a pointer has had.
type PointerVersion struct {
	Pointer
	Who         string // ARN of the caller that wrote it
	Description string // as Move.String writes it
}

// History reads what a role's pointer has named, newest first: SSM keeps 100 versions. It is empty where there is no
// pointer, or was one that was deleted.
func (p *Pointers) History(ctx context.Context, role string) ([]PointerVersion, error) {
	var list []PointerVersion
	in := &ssm.GetParameterHistoryInput{Name: aws.String(PointerName(p.fleet, role)), MaxResults: aws.Int32(50)}
	for pages := ssm.NewGetParameterHistoryPaginator(p.api, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if Code(err) == "ParameterNotFound" {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the history of the pointer of role %s in %s: %w", role, p.loc, err)
		}
		for _, e := range page.Parameters {
			list = append(list, PointerVersion{
				Pointer: Pointer{
					Role: role, Location: p.loc, Image: aws.ToString(e.Value), DataType: aws.ToString(e.DataType),
					Version: e.Version, Modified: aws.ToTime(e.LastModifiedDate).UTC(),
				},
				Who: aws.ToString(e.LastModifiedUser), Description: aws.ToString(e.Description),
			})
		}
	}
	slices.SortFunc(list, func(a, b PointerVersion) int { return cmp.Compare(b.Version, a.Version) })
	return list, nil
}

// roleOf is the opposite of PointerName.
func (p *Pointers) roleOf(name string) (role string, ok bool) {
	return roleIn(p.fleet, name, "/default")
}

// roleIn finds the role in the name of one of its parameters.
func roleIn(fleet, name, suffix string) (role string, ok bool) {
	rest, ok := strings.CutPrefix(name, "/imgops/"+fleet+"/")
	if !ok {
		return "", false
	}
	role, ok = strings.CutSuffix(rest, suffix)
	return role, ok && role != "" && !strings.Contains(role, "/")
}

func (p *Pointers) pointer(role string, e types.Parameter) Pointer {
	return Pointer{
		Role: role, Location: p.loc, Image: aws.ToString(e.Value), DataType: aws.ToString(e.DataType),
		Version: e.Version, Modified: aws.ToTime(e.LastModifiedDate).UTC(),
	}
}
