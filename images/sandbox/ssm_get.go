package sandbox

import (
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imgops/imgops/images/sandbox/query"
)

func parameterARN(p place, name string) string {
	return "arn:aws:ssm:" + p.Region + ":" + p.Account + ":parameter/" + strings.TrimPrefix(name, "/")
}

// parameterResource is the id under which a parameter's tags are kept.
func parameterResource(name string) string { return "ssm:" + name }

// parameter finds a parameter; one whose first value is still being checked does not exist yet.
func (q *call) parameter(name string) (parameterRow, bool) {
	p, ok := q.parameters.Get(q.tx, q.key(name))
	return p, ok && len(p.Versions) > 0
}

// parameterAsSeen is parameter for a read, which may be behind: then the newest versions are not there yet.
func (q *call) parameterAsSeen(name string) (parameterRow, bool) {
	p, ok := q.parameter(name)
	p.Versions = q.versionsAsSeen(p.Versions)
	return p, ok && len(p.Versions) > 0
}

func (q *call) versionsAsSeen(all []parameterVersion) []parameterVersion {
	n := len(all)
	for q.lag > 0 && isRead(q.action) && n > 0 && q.unseen(all[n-1].At) {
		n--
	}
	return all[:n]
}

func (p *parameterRow) current() parameterVersion {
	if len(p.Versions) == 0 {
		return parameterVersion{}
	}
	return p.Versions[len(p.Versions)-1]
}

func (p *parameterRow) last() int64 { return p.current().Version }

func parameterNotFound(name string) error {
	return fail("ParameterNotFound", "Parameter %s not found.", name)
}

// find resolves a name, or ARN, with an optional :version or :label. Parameters of other accounts are not shared here.
func (q *call) find(reference string) (parameterRow, parameterVersion, string, error) {
	name := reference
	if rest, isARN := strings.CutPrefix(reference, "arn:aws:ssm:"+q.Region+":"+q.Account+":parameter/"); isARN {
		name = rest
		if bare, _, _ := strings.Cut(rest, ":"); strings.Contains(bare, "/") {
			name = "/" + rest
		} else if _, ok := q.parameterAsSeen(bare); !ok {
			name = "/" + rest // /name and name have the same ARN
		}
	} else if strings.HasPrefix(reference, "arn:") {
		return parameterRow{}, parameterVersion{}, "", parameterNotFound(reference)
	}
	name, selector, selected := strings.Cut(name, ":")
	p, ok := q.parameterAsSeen(name)
	if !ok {
		return p, parameterVersion{}, "", parameterNotFound(reference)
	}
	if !selected {
		return p, p.current(), "", nil
	}
	for _, v := range p.Versions {
		if strconv.FormatInt(v.Version, 10) == selector || slices.Contains(v.Labels, selector) {
			return p, v, ":" + selector, nil
		}
	}
	return p, parameterVersion{}, "", fail("ParameterVersionNotFound", "Systems Manager could not find version %s of %s. Verify the version and try again.", selector, name)
}

// resolveImage is for resolve:ssm: in place of an image id: a String parameter of data type aws:ec2:image (ec2-facts 5.5, 5.12).
func (q *call) resolveImage(reference string) (string, error) {
	_, v, _, err := q.find(reference)
	var e *query.Error
	if errors.As(err, &e) {
		return "", fail("InvalidParameterValue", "The image id resolve:ssm:%s cannot be resolved: %s", reference, e.Message)
	}
	if v.DataType != imageDataType {
		return "", fail("InvalidParameterValue", "The parameter %s has data type %s; an image id can be resolved from %s only", reference, v.DataType, imageDataType)
	}
	return v.Value, err
}

type parameterItem struct {
	Name, Type, Value string
	Version           int64
	Selector          string `json:",omitempty"`
	LastModifiedDate  float64
	ARN, DataType     string
}

func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// shown is the value as the request wants it. Without decryption a SecureString is opaque.
func (v parameterVersion) shown(decrypt bool) string {
	if v.Type != "SecureString" || decrypt {
		return v.Value
	}
	sum := sha512.Sum512([]byte(v.KeyID + "\x00" + v.Value))
	return base64.StdEncoding.EncodeToString(append([]byte{1, 2, 2, 0, 0x78}, sum[:]...))
}

func (v parameterVersion) item(p parameterRow, selector string, decrypt bool) parameterItem {
	return parameterItem{p.Name, v.Type, v.shown(decrypt), v.Version, selector, epoch(v.At), parameterARN(p.place, p.Name), v.DataType}
}

type getParameterRequest struct {
	Name           string
	WithDecryption bool
}

type getParameterAnswer struct{ Parameter parameterItem }

func getParameter(q *call, in *getParameterRequest) (*getParameterAnswer, error) {
	p, v, selector, err := q.find(in.Name)
	if err != nil {
		return nil, err
	}
	return &getParameterAnswer{v.item(p, selector, in.WithDecryption)}, nil
}

type getParametersRequest struct {
	Names          []string
	WithDecryption bool
}

type getParametersAnswer struct {
	Parameters        []parameterItem
	InvalidParameters []string
}

const maxNames = 10 // of GetParameters and DeleteParameters

func checkNames(names []string) error {
	if len(names) < 1 || len(names) > maxNames {
		return invalidSSM("1 validation error detected: Value '%v' at 'names' failed to satisfy constraint: Member must have length from 1 to %d", names, maxNames)
	}
	return nil
}

func getParameters(q *call, in *getParametersRequest) (*getParametersAnswer, error) {
	if err := checkNames(in.Names); err != nil {
		return nil, err
	}
	out := &getParametersAnswer{Parameters: []parameterItem{}, InvalidParameters: []string{}}
	for _, name := range in.Names {
		p, v, selector, err := q.find(name)
		if err != nil {
			out.InvalidParameters = append(out.InvalidParameters, name)
			continue
		}
		out.Parameters = append(out.Parameters, v.item(p, selector, in.WithDecryption))
	}
	return out, nil
}

type historyRequest struct {
	Name           string
	WithDecryption bool
	MaxResults     *int32
	NextToken      string
}

type historyItem struct {
	Name, Type       string
	KeyId            string `json:",omitempty"`
	LastModifiedDate float64
	LastModifiedUser string
	Description      string `json:",omitempty"`
	Value            string
	AllowedPattern   string `json:",omitempty"`
	Version          int64
	Labels           []string
	Tier, DataType   string
	Policies         []string
}

type historyAnswer struct {
	Parameters []historyItem
	NextToken  string `json:",omitempty"`
}

func getParameterHistory(q *call, in *historyRequest) (*historyAnswer, error) {
	p, _, _, err := q.find(in.Name)
	if err != nil {
		return nil, err
	}
	versions, next, err := ssmPage(q, in.MaxResults, 50, in.NextToken, slices.Clone(p.Versions), func(v parameterVersion) string { return padded(v.Version) })
	out := &historyAnswer{Parameters: []historyItem{}, NextToken: next}
	for _, v := range versions {
		out.Parameters = append(out.Parameters, historyItem{p.Name, v.Type, v.KeyID, epoch(v.At), v.User, v.Description, v.shown(in.WithDecryption),
			v.Pattern, v.Version, append([]string{}, v.Labels...), v.Tier, v.DataType, []string{}})
	}
	return out, err
}

// padded makes versions sort as text.
func padded(n int64) string {
	s := strconv.FormatInt(n, 10)
	return strings.Repeat("0", 12-len(s)) + s
}

// ssmPage is page in the words of SSM, with a page size when none is asked for.
func ssmPage[T any](q *call, limit *int32, most int32, token string, rows []T, key func(T) string) ([]T, string, error) {
	if limit != nil && (*limit < 1 || *limit > most) {
		return nil, "", invalidSSM("1 validation error detected: Value '%d' at 'maxResults' failed to satisfy constraint: Member must have value from 1 to %d", *limit, most)
	}
	if limit == nil {
		limit = &most
	}
	out, next, err := page(q, pageParams{limit, token}, 1, rows, key)
	if err != nil {
		return nil, "", fail("InvalidNextToken", "The specified token isn't valid.")
	}
	return out, next, nil
}
