// Command upstream answers what both sides forward: an MCP tools/call, or a chat completion. It does no work.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
)

const (
	text = `{\"account\":\"ACC-4711\",\"holder\":\"A. Example\",\"kind\":\"checking\",\"status\":\"open\",\"balance_cents\":125000}`
	tool = `{"content":[{"type":"text","text":"` + text + `"}],"isError":false,"resultType":"complete"}`
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	size := flag.Int("size", 400, "bytes of the chat completion's content")
	flag.Parse()
	chat := []byte(`{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"bench","choices":[{"index":0,` +
		`"message":{"role":"assistant","content":"` + strings.Repeat("x", *size) + `"},"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":200,"completion_tokens":100,"total_tokens":300}}`)
	http.HandleFunc("/mcp", func(w http.ResponseWriter, r *http.Request) { answer(w, r, rpc) })
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, func([]byte) []byte { return chat })
	})
	log.Fatal(http.ListenAndServe(*listen, nil))
}

func answer(w http.ResponseWriter, r *http.Request, of func([]byte) []byte) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	said := of(body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(said)))
	w.Write(said)
}

// rpc answers any request with the tool's result, under the request's own id.
func rpc(body []byte) []byte {
	var request struct {
		ID json.RawMessage `json:"id"`
	}
	if err := json.Unmarshal(body, &request); err != nil || request.ID == nil {
		return []byte(`{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no request"}}`)
	}
	var out bytes.Buffer
	out.WriteString(`{"jsonrpc":"2.0","id":`)
	out.Write(request.ID)
	out.WriteString(`,"result":`)
	out.WriteString(tool)
	out.WriteString(`}`)
	return out.Bytes()
}
