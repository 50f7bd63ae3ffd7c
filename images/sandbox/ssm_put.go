package sandbox

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/imgops/imgops/images/sandbox/state"
)

const (
	imageDataType        = "aws:ec2:image"
	maxParameterVersions = 100
	maxStandard          = 10000 // parameters per account and Region
)

type putParameterRequest struct {
	Name, Value, Type, Description, KeyId, AllowedPattern, Tier, Policies, DataType string
	Overwrite                                                                       bool
	Tags                                                                            []tagParam
}

type putParameterAnswer struct {
	Version int64
	Tier    string
}

func invalidSSM(format string, args ...any) error {
	return fail("ValidationException", format, args...)
}

// putParameter stores a value as a new version. One of type aws:ec2:image is only noted: whether it is kept is decided
// after the answer (ec2-facts 5.1), by settleParameter.
func putParameter(q *call, in *putParameterRequest) (*putParameterAnswer, error) {
	p, exists := q.parameter(in.Name)
	if err := firstError(checkParameterName(q.place, in.Name), in.check(), in.against(p, exists)); err != nil {
		return nil, err
	}
	if !exists && len(p.Pending) == 0 {
		p = parameterRow{place: q.place, Name: in.Name}
		if err := q.roomForParameter(); err != nil {
			return nil, err
		}
		tags, err := ssmTags(in.Tags)
		if err != nil {
			return nil, err
		}
		q.setTags(parameterResource(in.Name), tags)
	}
	v := in.version(p)
	v.Version, v.User, v.At = p.last()+int64(len(p.Pending))+1, q.who.ARN, q.now
	if v.DataType == imageDataType {
		p.Pending = append(slices.Clone(p.Pending), v)
		key := q.key(in.Name)
		q.after(func() { q.jobs.run("ssm:"+key, func() { q.settleParameter(key) }) })
	} else {
		var err error
		if p, err = p.add(v); err != nil {
			return nil, err
		}
	}
	q.parameters.Put(q.tx, q.key(in.Name), p)
	return &putParameterAnswer{v.Version, v.Tier}, nil
}

// version is what the request makes of the parameter as it is.
func (in *putParameterRequest) version(p parameterRow) parameterVersion {
	old := p.current()
	v := parameterVersion{Value: in.Value, Type: in.Type, Tier: in.Tier, DataType: in.DataType, KeyID: in.KeyId,
		Description: in.Description, Pattern: in.AllowedPattern}
	if v.Type == "" {
		v.Type = old.Type
	}
	if v.DataType == "" {
		v.DataType = "text" // also on an image parameter (ec2-facts 5.5)
	}
	if v.Type == "SecureString" && v.KeyID == "" {
		v.KeyID = "alias/aws/ssm"
	}
	if v.Description == "" {
		v.Description = old.Description
	}
	switch {
	case v.Tier == "Intelligent-Tiering" && (len(v.Value) > 4096 || old.Tier == "Advanced"):
		v.Tier = "Advanced"
	case v.Tier == "Intelligent-Tiering":
		v.Tier = "Standard"
	case v.Tier == "" && old.Tier != "":
		v.Tier = old.Tier
	case v.Tier == "":
		v.Tier = "Standard"
	}
	return v
}

func (in *putParameterRequest) check() error {
	limit := 4096
	if in.Tier == "Advanced" || in.Tier == "Intelligent-Tiering" {
		limit = 8192
	}
	switch {
	case in.Value == "":
		return invalidSSM("1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1.")
	case len(in.Value) > limit:
		return invalidSSM("A parameter value of tier %s can have %d characters at most.", cmp.Or(in.Tier, "Standard"), limit)
	case !slices.Contains([]string{"", "String", "StringList", "SecureString"}, in.Type):
		return invalidSSM("1 validation error detected: Value '%s' at 'type' failed to satisfy constraint: Member must satisfy enum value set: [SecureString, StringList, String]", in.Type)
	case !slices.Contains([]string{"", "Standard", "Advanced", "Intelligent-Tiering"}, in.Tier):
		return invalidSSM("1 validation error detected: Value '%s' at 'tier' failed to satisfy constraint: Member must satisfy enum value set: [Standard, Intelligent-Tiering, Advanced]", in.Tier)
	case !slices.Contains([]string{"", "text", imageDataType}, in.DataType):
		return invalidSSM("The following data type is not supported: %s (Data type names are all lowercase.)", in.DataType)
	case in.DataType == imageDataType && in.Type != "" && in.Type != "String":
		return invalidSSM("Data type %s goes with the type String only.", imageDataType)
	case in.KeyId != "" && in.Type != "" && in.Type != "SecureString":
		return invalidSSM("KeyId is required only for the type SecureString.")
	case in.Policies != "":
		return invalidSSM("Parameter policies are not carried out by this sandbox; leave Policies out.")
	case in.Overwrite && len(in.Tags) > 0:
		return invalidSSM("Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. " +
			"To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.")
	}
	return matchPattern(in.AllowedPattern, in.Value)
}

func matchPattern(pattern, value string) error {
	if pattern == "" {
		return nil
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return fail("InvalidAllowedPatternException", "The pattern '%s' is not a valid regular expression.", pattern)
	}
	if re.FindString(value) != value {
		return fail("ParameterPatternMismatchException", "Parameter value, cannot be validated against allowedPattern: %s", pattern)
	}
	return nil
}

// against checks the request against the parameter that is there.
func (in *putParameterRequest) against(p parameterRow, exists bool) error {
	old := p.current()
	switch {
	case !exists && in.Type == "":
		return invalidSSM("A parameter type is required when you create a parameter.")
	case !exists:
		return nil
	case !in.Overwrite:
		return fail("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
	case in.Type != "" && in.Type != old.Type:
		return fail("HierarchyTypeMismatchException", "The type of parameter %s is %s and cannot be changed to %s.", p.Name, old.Type, in.Type)
	case old.Tier == "Advanced" && in.Tier == "Standard":
		return invalidSSM("This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier.")
	case in.DataType == imageDataType && old.Type != "String":
		return invalidSSM("Data type %s goes with the type String only.", imageDataType)
	}
	return nil
}

var parameterName = lazy(`^[a-zA-Z0-9_.\-/]+$`)

// checkParameterName holds the rules of ec2-facts 5.7.
func checkParameterName(p place, name string) error {
	first := strings.ToLower(strings.SplitN(strings.TrimPrefix(name, "/"), "/", 2)[0])
	switch {
	case name == "" || !parameterName().MatchString(name):
		return invalidSSM("Parameter name: can't be prefixed with \"ssm\" (case-insensitive). It can consist of letters, digits and the symbols .-_ and /.")
	case strings.Contains(name, "/") && !strings.HasPrefix(name, "/"):
		return invalidSSM("Parameter name must be a fully qualified name.")
	case strings.HasSuffix(name, "/") || strings.Contains(name, "//"):
		return invalidSSM("Parameter name %s has an empty level.", name)
	case len(parameterARN(p, name)) > 1011:
		return invalidSSM("Parameter name is too long: with its ARN it can have 1011 characters.")
	case strings.Count(strings.TrimPrefix(name, "/"), "/")+1 > 15:
		return fail("HierarchyLevelLimitExceededException", "A parameter hierarchy can have 15 levels.")
	case strings.HasPrefix(first, "aws"):
		return fail("AccessDeniedException", "No access to reserved parameter name: %s.", name)
	case strings.HasPrefix(first, "ssm"):
		return invalidSSM("Parameter name: can't be prefixed with \"ssm\" (case-insensitive).")
	}
	return nil
}

func (q *call) roomForParameter() error {
	n := 0
	for range q.parameters.Scan(q.tx, q.key()) {
		n++
	}
	if n >= maxStandard {
		return fail("ParameterLimitExceeded", "You have exceeded the number of parameters for this AWS account: %d", maxStandard)
	}
	return nil
}

// add appends a version. Beyond 100 the oldest goes, unless it has a label (ec2-facts 5.8).
func (p parameterRow) add(v parameterVersion) (parameterRow, error) {
	p.Versions = append(slices.Clone(p.Versions), v)
	if len(p.Versions) <= maxParameterVersions {
		return p, nil
	}
	if oldest := p.Versions[0]; len(oldest.Labels) > 0 {
		return p, fail("ParameterMaxVersionLimitExceeded", "You attempted to create a new version of %s by calling the PutParameter API with the overwrite flag. "+
			"Version %d, the oldest version, can't be deleted because it has a label associated with it. Move the label to another version of the parameter, and try again.",
			p.Name, oldest.Version)
	}
	p.Versions = p.Versions[1:]
	return p, nil
}

var imageIDForm = lazy(`^ami-([0-9a-f]{8}|[0-9a-f]{17})$`)

// settleParameter decides on values of type aws:ec2:image that were put: one that is no image which the parameter's account
// can launch in its Region is dropped, and nobody is told (AWS sends an event).
func (c *Cloud) settleParameter(key string) {
	c.update("parameter "+key, func(tx *state.Tx) error {
		p, ok := c.parameters.Get(tx, key)
		if !ok || len(p.Pending) == 0 {
			return nil
		}
		q := &call{Cloud: c, place: p.place, tx: tx, now: c.clock().UTC()}
		for _, v := range p.Pending {
			v.Version = p.last() + 1
			err := error(nil)
			if !imageIDForm().MatchString(v.Value) {
				err = fail("InvalidAMIID.Malformed", "it has not the form of an image id")
			} else if _, err = q.usableImage(v.Value); err == nil {
				p, err = p.add(v)
			}
			if err != nil {
				c.log.Warn("a parameter of data type aws:ec2:image was not stored", "parameter", p.Name, "value", v.Value, "error", err)
			}
		}
		p.Pending = nil
		if len(p.Versions) == 0 {
			c.parameters.Delete(tx, key)
			c.tags.Delete(tx, p.key(parameterResource(p.Name)))
			return nil
		}
		c.parameters.Put(tx, key, p)
		return nil
	})
}
