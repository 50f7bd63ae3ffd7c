package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox/query"
)

const fuzzAccount = "111111111111"

// fuzzCloud is a sandbox without machines, and its handler.
func fuzzCloud(f *testing.F) http.Handler {
	f.Helper()
	c, err := New(f.Context(), Options{Dir: f.TempDir()})
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, c.Close()) })
	return c.Handler()
}

// answerTo serves the request and holds its answer to what every answer is: no fault of the server's, and a document that its client can read.
func answerTo(t *testing.T, h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body := w.Body.Bytes()
	require.Less(t, w.Code, http.StatusInternalServerError, "%s", body)
	switch kind := w.Header().Get("Content-Type"); {
	case len(body) == 0:
	case strings.Contains(kind, "json"):
		require.True(t, json.Valid(body), "%q", body)
	default:
		for d := xml.NewDecoder(bytes.NewReader(body)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v: %q", err, body)
			}
		}
	}
	return w
}

// signed is a request that the holder of the account's key has signed.
func signed(t *testing.T, service, target, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if target != "" {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", target)
	}
	sum := sha256.Sum256([]byte(body))
	key := aws.Credentials{AccessKeyID: "SANDBOX" + fuzzAccount, SecretAccessKey: "sandbox"}
	require.NoError(t, v4.NewSigner().SignHTTP(t.Context(), key, r, hex.EncodeToString(sum[:]), service, "us-east-1", time.Now()))
	return r
}

// Whatever the form of a caller who has the key: each action answers it, with what it asks for or an error of its client.
func FuzzQueryActions(f *testing.F) {
	h := fuzzCloud(f)
	ec2Names, stsNames := slices.Sorted(maps.Keys(ec2Actions)), slices.Sorted(maps.Keys(stsActions))
	for _, name := range ec2Names {
		f.Add("Action=" + name)
	}
	for _, name := range stsNames {
		f.Add("Action=" + name + "&DurationSeconds=900&RoleArn=arn:aws:iam::222222222222:role/a&RoleSessionName=ab")
	}
	for _, seed := range []string{"Action=DescribeImages&Filter.1.Name=tag:a&Filter.1.Value.1=%2A&Owner.1=self&MaxResults=5&NextToken=eA",
		"Action=RegisterImage&Name=abc&RootDeviceName=/dev/sda1&BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.SnapshotId=snap-00000000000000000",
		"Action=AuthorizeSecurityGroupIngress&GroupName=default&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=1&IpPermissions.1.ToPort=99999&IpPermissions.1.IpRanges.1.CidrIp=::/0",
		"Action=CreateVolume&AvailabilityZone=us-east-1a&Size=1&TagSpecification.1.ResourceType=volume&TagSpecification.1.Tag.1.Key=%00",
		"Action=CreateLaunchTemplate&LaunchTemplateName=abc&LaunchTemplateData.ImageId=resolve:ssm:/a:1&LaunchTemplateData.UserData=eA",
		"Action=CreateTags&ResourceId.1=ami-1&Tag.1.Key=%ff&Tag.1.Value=a", "Action=&Action=a&DryRun=maybe", "Action=DescribeRegions&Version=%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, form string) {
		service := "ec2"
		if in, err := url.ParseQuery(form); err == nil && stsActions[in.Get("Action")].run != nil {
			service = "sts"
		}
		answerTo(t, h, signed(t, service, "", form))
	})
}

// The same of SSM and KMS.
func FuzzJSONActions(f *testing.F) {
	h := fuzzCloud(f)
	for target, service := range jsonTargets {
		for _, name := range slices.Sorted(maps.Keys(jsonServices[service])) {
			f.Add(target+"."+name, `{"Name":"/a/b","Names":["/a"],"KeyId":"alias/aws/ebs","Path":"/"}`)
		}
	}
	f.Add("AmazonSSM.PutParameter", `{"Name":"/a","Value":"ami-00000000000000000","Type":"String","DataType":"aws:ec2:image","Tags":[{"Key":"a","Value":"b"}]}`)
	f.Add("AmazonSSM.DescribeParameters", `{"ParameterFilters":[{"Key":"tag:a","Option":"Equals","Values":["b"]}],"MaxResults":1,"NextToken":"eA"}`)
	f.Add("TrentService.PutKeyPolicy", `{"KeyId":"x","PolicyName":"default","Policy":"{\"Statement\":[{\"Principal\":{\"AWS\":\"*\"}}]}"}`)
	f.Add("TrentService.CreateKey", `{"Policy":"{\"Version\":\"2012-10-17\",\"Statement\":[]}","Tags":[{"TagKey":"","TagValue":null}]}`)
	f.Add("", `[]`)
	f.Add("AmazonSSM.", "{} {}")
	f.Fuzz(func(t *testing.T, target, body string) {
		if target != "" && (http.Header{"X-Amz-Target": {target}}).Get("X-Amz-Target") == "" {
			return
		}
		service := "ssm"
		if strings.HasPrefix(target, "TrentService") {
			service = "kms"
		}
		answerTo(t, h, signed(t, service, target, body))
	})
}

// Nobody comes in without the secret of a key, whatever header or URL he makes up.
func FuzzUnsigned(f *testing.F) {
	h := fuzzCloud(f)
	const credential = "SANDBOX" + fuzzAccount + "/20260102/us-east-1/ec2/aws4_request"
	f.Add("AWS4-HMAC-SHA256 Credential="+credential+", SignedHeaders=host;x-amz-date, Signature=00", "Action=DescribeRegions", "20260102T000000Z", "127.0.0.1", "")
	f.Add("", "Action=DescribeRegions&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="+url.QueryEscape(credential)+
		"&X-Amz-Date=20260102T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00", "", "ec2.us-east-1.amazonaws.com:443", "")
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request,SignedHeaders=;;,Signature=%", "", "", "bucket.s3.dualstack.eu-west-1.amazonaws.com", "")
	f.Add("AWS4-HMAC-SHA256", "X-Amz-Signature=", "now", "[::1]", "AmazonSSM.GetParameter")
	f.Add("Basic YTpi", "&&;%", "", "sts.amazonaws.com.", "TrentService")
	f.Fuzz(func(t *testing.T, authorization, rawQuery, date, host, target string) {
		r := (&http.Request{Method: http.MethodPost, URL: &url.URL{Path: "/", RawQuery: rawQuery}, Host: host, Header: http.Header{}, Body: http.NoBody}).WithContext(t.Context())
		for name, value := range map[string]string{"Authorization": authorization, "X-Amz-Date": date, "X-Amz-Target": target} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		if s, ok := requestScope(r); ok {
			require.NotEmpty(t, s.Signature)
			require.NotEmpty(t, s.SignedHeaders)
		}
		require.GreaterOrEqual(t, answerTo(t, h, r).Code, http.StatusBadRequest)
	})
}

// A pattern means what the same regular expression does.
func FuzzWildcard(f *testing.F) {
	for _, seed := range [][2]string{{"debian-*-amd64-*", "debian-12-amd64-2026"}, {`a\*b?`, "a*bc"}, {"*a*a*a*b", "aaaaaaaaaaaaaaa"}, {`\`, `\`}, {"", ""}, {"??", "é"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		var expression strings.Builder
		for i := 0; i < len(pattern); i++ {
			switch c := pattern[i]; {
			case c == '*':
				expression.WriteString(".*")
			case c == '?':
				expression.WriteString(".")
			case c == '\\' && i+1 < len(pattern):
				i++
				expression.WriteString(latin1Quoted(pattern[i]))
			default:
				expression.WriteString(latin1Quoted(c))
			}
		}
		want := regexp.MustCompile(`(?s)\A` + expression.String() + `\z`).MatchString(latin1(text))
		require.Equal(t, want, wildcard(pattern, text), "%q %q", pattern, text)
	})
}

// latin1 has a rune for each byte, since wildcard goes by bytes.
func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

func latin1Quoted(c byte) string { return regexp.QuoteMeta(latin1(string([]byte{c}))) }

// Block device mappings leave one device of a name, with the root first, or are refused as the client's mistake.
func FuzzMappings(f *testing.F) {
	for _, seed := range []string{"M.1.DeviceName=/dev/sdf&M.1.Ebs.VolumeSize=1", "M.1.DeviceName=/dev/xvda&M.1.NoDevice=", "M.1.DeviceName=/dev/sdb&M.1.VirtualName=ephemeral0",
		"M.1.DeviceName=/dev/xvda&M.1.Ebs.Encrypted=true&M.2.DeviceName=/dev/sdf&M.2.NoDevice=", "M.1.DeviceName=&M.2.DeviceName=x", "M.1.DeviceName=/dev/sdf&M.2.DeviceName=/dev/xvdf"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, form string) {
		params, err := url.ParseQuery(form)
		if err != nil {
			return
		}
		var in struct {
			M []deviceParam `query:"M"`
		}
		if query.Decode(params, &in) != nil {
			return
		}
		list, err := mappings(in.M, "/dev/xvda", []device{{Name: "/dev/sdf", SizeGiB: 1}, {Name: "/dev/xvda", SizeGiB: 2}})
		if err != nil {
			var e *query.Error
			require.ErrorAs(t, err, &e)
			return
		}
		require.Equal(t, "/dev/xvda", list[0].Name)
		names := map[string]bool{}
		for _, m := range list {
			require.False(t, names[m.Name], m.Name)
			names[m.Name] = true
		}
	})
}

// A host's name is one of AWS' or none; what it says can be said again.
func FuzzEndpointOf(f *testing.F) {
	for _, seed := range []string{"ec2.us-east-1.amazonaws.com", "a.b.s3-eu-west-1.amazonaws.com:443", "vpce-1.ssm.eu-west-1.vpce.amazonaws.com", "api.aws", ".api.aws", "dualstack.api.aws", "[::1]:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		e, ok := endpointOf(host)
		if !ok {
			require.Zero(t, e)
			return
		}
		require.False(t, e.Bucket != "" && e.Service != "s3")
	})
}
