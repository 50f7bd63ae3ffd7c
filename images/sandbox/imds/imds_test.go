package imds

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var local = netip.MustParseAddr("127.0.0.1")

func document() Document {
	return Document{
		InstanceID: "i-0123456789abcdef0", ImageID: "ami-0123456789abcdef0", AccountID: "111111111111", Region: "eu-west-1",
		AvailabilityZone: "eu-west-1a", InstanceType: "t3.small", Architecture: "x86_64", PrivateIP: "10.213.0.5", MAC: "0a:ff:0a:d5:00:05",
		LocalHostname: "ip-10-213-0-5.eu-west-1.compute.internal", PublicKeys: []PublicKey{{Name: "my-key", OpenSSH: "ssh-ed25519 AAAA me\n"}},
		UserData: []byte("#!/bin/sh\n\x00\xff"), Tags: map[string]string{"Name": "web", "imgops:run": ""}, HTTPTokensRequired: true,
		LaunchTime: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), SecurityGroups: []string{"default", "web"}, ReservationID: "r-1", VPCID: "vpc-1",
	}
}

type client struct {
	t   *testing.T
	url string
}

// serve starts the service for the document of the moment.
func serve(t *testing.T, doc *Document) client {
	server := httptest.NewUnstartedServer(Handler(func(a netip.Addr) (Document, bool) { return *doc, a == local && doc.InstanceID != "" }))
	server.Config.ConnContext = ConnContext
	server.Start()
	t.Cleanup(server.Close)
	return client{t, server.URL}
}

func (c client) do(method, path string, header ...string) (int, string, http.Header) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, nil)
	require.NoError(c.t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	return res.StatusCode, string(body), res.Header
}

func (c client) token() string {
	c.t.Helper()
	status, token, header := c.do(http.MethodPut, tokenPath, ttlHeader, "60")
	require.Equal(c.t, 200, status)
	require.Equal(c.t, "60", header.Get(ttlHeader))
	return token
}

func TestTree(t *testing.T) {
	doc := document()
	c := serve(t, &doc)
	token := c.token()
	for path, want := range map[string]string{
		"/":                                           strings.Join(versions, "\n"),
		"/latest":                                     "dynamic\nmeta-data\nuser-data",
		"/latest/":                                    "dynamic\nmeta-data\nuser-data",
		"/latest/meta-data/ami-id":                    "ami-0123456789abcdef0",
		"/latest/meta-data/instance-id/":              "i-0123456789abcdef0",
		"/2009-04-04/meta-data/instance-id":           "i-0123456789abcdef0",
		"/latest/meta-data/hostname":                  "ip-10-213-0-5.eu-west-1.compute.internal",
		"/latest/meta-data/local-ipv4":                "10.213.0.5",
		"/latest/meta-data/placement/":                "availability-zone\nregion",
		"/latest/meta-data/placement/region":          "eu-west-1",
		"/latest/meta-data/public-keys/":              "0=my-key",
		"/latest/meta-data/public-keys/0":             "openssh-key",
		"/latest/meta-data/public-keys/0/openssh-key": "ssh-ed25519 AAAA me",
		"/latest/meta-data/security-groups":           "default\nweb",
		"/latest/meta-data/services":                  "domain\npartition",
		"/latest/meta-data/services/domain":           "amazonaws.com",
		"/latest/meta-data/services/partition":        "aws",
		"/latest/meta-data/tags/":                     "instance/",
		"/latest/meta-data/tags/instance":             "Name\nimgops:run",
		"/latest/meta-data/tags/instance/Name":        "web",
		"/latest/meta-data/tags/instance/imgops:run":  "",
		"/latest/meta-data/network/interfaces/macs/":  "0a:ff:0a:d5:00:05/",
		"/latest/meta-data/network/interfaces/macs/0a:ff:0a:d5:00:05/vpc-id": "vpc-1",
		"/latest/dynamic/instance-identity/":                                 "document",
		"/latest/user-data":                                                  "#!/bin/sh\n\x00\xff",
	} {
		status, body, _ := c.do(http.MethodGet, path, tokenHeader, token)
		require.Equal(t, 200, status, path)
		require.Equal(t, want, body, path)
	}
	_, listing, _ := c.do(http.MethodGet, "/latest/meta-data/", tokenHeader, token)
	require.Contains(t, strings.Split(listing, "\n"), "placement/")
	require.Contains(t, strings.Split(listing, "\n"), "instance-id")
	for _, path := range []string{"/nope", "/2000-01-01/meta-data/", "/latest/meta-data/nope", "/latest/meta-data/ami-id/x", "/2009-04-04/meta-data/tags/"} {
		status, _, _ := c.do(http.MethodGet, path, tokenHeader, token)
		require.Equal(t, 404, status, path)
	}

	doc.UserData, doc.Tags = nil, nil
	for _, path := range []string{"/latest/user-data", "/latest/meta-data/tags/"} {
		status, _, _ := c.do(http.MethodGet, path, tokenHeader, token)
		require.Equal(t, 404, status, path)
	}
}

func TestIdentity(t *testing.T) {
	doc := document()
	c := serve(t, &doc)
	_, body, _ := c.do(http.MethodGet, "/latest/dynamic/instance-identity/document", tokenHeader, c.token())
	var got map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	require.Equal(t, "111111111111", got["accountId"])
	require.Equal(t, "2026-01-02T03:04:05Z", got["pendingTime"])
	require.Equal(t, "2017-09-30", got["version"])
	require.Nil(t, got["kernelId"])
}

func TestTokens(t *testing.T) {
	doc := document()
	c := serve(t, &doc)
	const path = "/latest/meta-data/instance-id"
	for _, tc := range []struct {
		name, method, path string
		header             []string
		want               int
	}{
		{"version 1 refused", http.MethodGet, path, nil, 401},
		{"wrong token", http.MethodGet, path, []string{tokenHeader, "AAAA"}, 401},
		{"no lifetime", http.MethodPut, tokenPath, nil, 400},
		{"lifetime too short", http.MethodPut, tokenPath, []string{ttlHeader, "0"}, 400},
		{"lifetime too long", http.MethodPut, tokenPath, []string{ttlHeader, "21601"}, 400},
		{"longest lifetime", http.MethodPut, tokenPath, []string{ttlHeader, "21600"}, 200},
		{"behind a proxy", http.MethodPut, tokenPath, []string{ttlHeader, "60", "X-Forwarded-For", "10.0.0.1"}, 403},
		{"token by GET", http.MethodGet, tokenPath, []string{ttlHeader, "60"}, 405},
		{"DELETE", http.MethodDelete, path, nil, 405},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, _, _ := c.do(tc.method, tc.path, tc.header...)
			require.Equal(t, tc.want, status)
		})
	}

	token := c.token()
	doc.InstanceID = "i-another"
	status, _, _ := c.do(http.MethodGet, path, tokenHeader, token)
	require.Equal(t, 401, status, "a token belongs to one instance")
	doc.HTTPTokensRequired = false
	status, body, _ := c.do(http.MethodGet, path)
	require.Equal(t, 200, status)
	require.Equal(t, "i-another", body)
	doc.InstanceID = ""
	status, _, _ = c.do(http.MethodGet, path)
	require.Equal(t, 404, status, "an unknown caller")
}

func TestTokenExpires(t *testing.T) {
	now := time.Unix(1000, 0)
	tokens := newTokens()
	tokens.now = func() time.Time { return now }
	token := tokens.issue("i-1", time.Minute)
	require.True(t, tokens.valid(token, "i-1"))
	now = now.Add(time.Minute)
	require.False(t, tokens.valid(token, "i-1"))
}

// The hop limit is the TTL of the socket; the kernel tells it.
func TestHopLimit(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			accepted <- c
		}
	}()
	peer, err := net.Dial("tcp4", ln.Addr().String())
	require.NoError(t, err)
	defer peer.Close()
	conn := <-accepted
	defer conn.Close()

	doc := document()
	doc.HopLimit = 3
	h := Handler(func(netip.Addr) (Document, bool) { return doc, true })
	for _, tc := range []struct {
		method, path string
		want         int
	}{{http.MethodPut, tokenPath, 3}, {http.MethodGet, "/latest", defaultTTL}} {
		r := httptest.NewRequestWithContext(ConnContext(t.Context(), conn), tc.method, tc.path, nil)
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set(ttlHeader, "60")
		h.ServeHTTP(httptest.NewRecorder(), r)
		require.Equal(t, tc.want, ttl(t, conn))
	}
}
func ttl(t *testing.T, c net.Conn) int {
	raw, err := c.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	got := 0
	require.NoError(t, raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL) }))
	require.NoError(t, err)
	return got
}

// User Guide, "Instance metadata categories": block-device-mapping/ebsN, instance-life-cycle.
func TestDevicesAndLifeCycle(t *testing.T) {
	doc := document()
	doc.HTTPTokensRequired = false
	c := serve(t, &doc)
	get := func(path string) string {
		t.Helper()
		code, body, _ := c.do(http.MethodGet, "/latest/meta-data/"+path)
		require.Equal(t, http.StatusOK, code)
		return body
	}
	require.Equal(t, "ami\nroot", get("block-device-mapping/"))
	require.Equal(t, "on-demand", get("instance-life-cycle"))
	doc.RootDevice, doc.EBSDevices, doc.Spot = "/dev/sda1", []string{"/dev/sdf", "xvdg"}, true
	require.Equal(t, "ami\nebs1\nebs2\nroot", get("block-device-mapping/"))
	require.Equal(t, []string{"/dev/sda1", "/dev/sda1", "sdf", "xvdg"}, []string{get("block-device-mapping/ami"), get("block-device-mapping/root"),
		get("block-device-mapping/ebs1"), get("block-device-mapping/ebs2")})
	require.Equal(t, "spot", get("instance-life-cycle"))
}
