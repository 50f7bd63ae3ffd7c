package query

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type tag struct{ Key, Value string }

type spec struct {
	ResourceType string
	Tag          []tag
}

type common struct{ DryRun bool }

type request struct {
	common
	ImageID  string `query:"ImageId,required"`
	Specs    []spec `query:"TagSpecification"`
	MinCount *int32
	Options  *struct {
		HTTPTokens string `query:"HttpTokens"`
	} `query:"MetadataOptions"`
	UserData []byte
	At       time.Time
	Members  []tag `query:"Tags.member"`
	Owner    []string
}

func decode(t *testing.T, form string) (request, error) {
	t.Helper()
	params, err := url.ParseQuery(form)
	require.NoError(t, err)
	var r request
	return r, Decode(params, &r)
}

func TestDecode(t *testing.T) {
	params, err := url.ParseQuery("ImageId=ami-1&TagSpecification.1.ResourceType=image&TagSpecification.1.Tag.2.Key=b&" +
		"TagSpecification.1.Tag.10.Key=c&TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=1&MinCount=3&DryRun=true&" +
		"MetadataOptions.HttpTokens=required&UserData=aGVsbG8%3D&At=2026-01-02T03:04:05.678Z&Tags.member.1.Key=k&Owner=")
	require.NoError(t, err)
	var r request
	require.NoError(t, Decode(params, &r))
	require.True(t, r.DryRun)
	require.Equal(t, []spec{{"image", []tag{{"a", "1"}, {"b", ""}, {"c", ""}}}}, r.Specs)
	require.Equal(t, int32(3), *r.MinCount)
	require.Equal(t, "required", r.Options.HTTPTokens)
	require.Equal(t, "hello", string(r.UserData))
	require.Equal(t, time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC), r.At)
	require.Equal(t, []tag{{"k", ""}}, r.Members)
	require.Empty(t, r.Owner)
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct{ form, code, names string }{
		{"", "MissingParameter", "ImageId"},
		{"ImageId=a&Nonsense=1", "UnknownParameter", "Nonsense"},
		{"ImageId=a&TagSpecification.1.Color=1", "UnknownParameter", "TagSpecification.1.Color"},
		{"ImageId=a&TagSpecification.x.Tag.1.Key=1", "UnknownParameter", "TagSpecification.x"},
		{"ImageId=a&TagSpecification.0.Tag.1.Key=1", "UnknownParameter", "TagSpecification.0"},
		{"ImageId=a&TagSpecification=1", "UnknownParameter", "TagSpecification"},
		{"ImageId=a&ImageId.1=b", "UnknownParameter", "ImageId.1"},
		{"ImageId=a&MinCount=x", "InvalidParameterValue", "MinCount"},
		{"ImageId=a&MinCount=99999999999", "InvalidParameterValue", "MinCount"},
		{"ImageId=a&DryRun=perhaps", "InvalidParameterValue", "DryRun"},
		{"ImageId=a&UserData=!", "InvalidParameterValue", "UserData"},
		{"ImageId=a&At=noon", "InvalidParameterValue", "At"},
		{"ImageId=a&Owner.999999=b", "InvalidParameterValue", "Owner.999999"},
		{"ImageId=a&Tags.other.1=b", "UnknownParameter", "Tags.other.1"},
		{"ImageId=a&ImageId=b", "InvalidParameterCombination", "ImageId"},
		{"ImageId=a&.=b", "UnknownParameter", "."},
	} {
		_, err := decode(t, c.form)
		var e *Error
		require.ErrorAs(t, err, &e, c.form)
		require.Equal(t, c.code, e.Code, c.form)
		require.Contains(t, e.Message, c.names, c.form)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("ImageId=ami-1&TagSpecification.1.Tag.1.Key=a")
	f.Add("ImageId=a&Tags.member.1.Key=k&Tags=x&Owner.1=b&Owner.1.2=c&MetadataOptions=1")
	f.Add("UserData=&At=&MinCount=&DryRun=")
	f.Fuzz(func(t *testing.T, form string) {
		params, err := url.ParseQuery(form)
		if err != nil {
			return
		}
		var r request
		if err := Decode(params, &r); err != nil {
			var e *Error
			require.ErrorAs(t, err, &e)
			require.NotEqual(t, "InternalError", e.Code)
		}
	})
}
