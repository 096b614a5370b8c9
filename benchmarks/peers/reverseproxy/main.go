// Command reverseproxy is the peer: the standard library's proxy, tuned, which governs nothing.
package main

import (
	"flag"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// pool lends the copy buffers, so that a request allocates none.
type pool struct{ sync.Pool }

func (p *pool) Get() []byte  { return *p.Pool.Get().(*[]byte) }
func (p *pool) Put(b []byte) { p.Pool.Put(&b) }

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	upstream := flag.String("upstream", "", "URL to forward to")
	flag.Parse()
	target, err := url.Parse(*upstream)
	if err != nil {
		log.Fatal(err)
	}
	buffers := &pool{sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{
			MaxIdleConns:        0,
			MaxIdleConnsPerHost: 512,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true,
		},
		BufferPool: buffers,
		ErrorLog:   log.New(io.Discard, "", 0),
	}
	log.Fatal(http.ListenAndServe(*listen, proxy))
}
