package awsproxy

import (
	"bufio"
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a client's user says of his outer proxy comes out as it went in, and nothing that is made up is taken for one.
func FuzzParseURL(f *testing.F) {
	f.Add(Outer{HTTPS: "http://proxy:3128", HTTP: "socks5://a:b@h:1", No: "localhost,10.0.0.0/8"}.URL("127.0.0.1:80"))
	for _, seed := range []string{"http://127.0.0.1:1", "http://outer:e30@h:1", "http://outer:!@h", "http://other:e30@h", "https://h", "http://outer:W10@h", "%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, o, ok := ParseURL(text)
		if !ok {
			require.Zero(t, o)
			return
		}
		_, again, ok := ParseURL(o.URL("127.0.0.1:80"))
		require.True(t, ok)
		require.Equal(t, o, again)
	})
}

// Any request at all is answered with a status of HTTP's, and what leads to this server or to AWS goes nowhere else.
func FuzzProxy(f *testing.F) {
	for _, seed := range []string{"CONNECT ec2.amazonaws.com:443 HTTP/1.1\r\nHost: ec2.amazonaws.com:443\r\n\r\n", "CONNECT a:b:c HTTP/1.1\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
		"CONNECT ec2.amazonaws.com HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic b3V0ZXI6ZTMw\r\n\r\n", "GET http://ec2.amazonaws.com/ HTTP/1.1\r\nHost: ec2.amazonaws.com\r\n\r\n",
		"CONNECT amazonaws.com:80 HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic !\r\n\r\n", "CONNECT [::1]:443 HTTP/1.1\r\nHost: x\r\n\r\n"} {
		f.Add([]byte(seed))
	}
	authority, err := OpenAuthority(f.TempDir(), []string{"amazonaws.com"}, time.Now)
	require.NoError(f, err)
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	p := New(Options{Authority: authority, Domains: []string{"amazonaws.com"}, AWS: ok, Direct: ok, Log: slog.New(slog.DiscardHandler)})
	f.Cleanup(func() { require.NoError(f, p.Close()) })
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return
		}
		host, outside := r.URL.Hostname(), r.URL.IsAbs()
		if r.Method == http.MethodConnect {
			host, _, err = net.SplitHostPort(r.Host)
			outside = err == nil
		}
		if outside && !p.isAWS(host) {
			return // it would go there
		}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r.WithContext(t.Context()))
		require.GreaterOrEqual(t, w.Code, 200)
		require.Less(t, w.Code, 600)
	})
}
