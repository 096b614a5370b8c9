// Command load makes a bounded number of requests with a number of callers, and says what they took as JSON.
//
// The plan comes on standard input. In each body the mark CALL_NUMBER is replaced by a number of fixed width that no
// other request of the process has, so that every body has the same size and no call repeats another.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type caller struct {
	Headers map[string]string `json:"headers"`
}

type plan struct {
	URL      string   `json:"url"`
	Body     string   `json:"body"`
	Callers  []caller `json:"callers"`
	Requests int      `json:"requests"`
	First    int      `json:"first"`
	Seconds  float64  `json:"seconds"`
	Wanted   string   `json:"wanted"`
}

type report struct {
	Requests int     `json:"requests"`
	Failed   int     `json:"failed"`
	Failure  string  `json:"failure"`
	Seconds  float64 `json:"seconds"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

func main() {
	var p plan
	if err := json.NewDecoder(os.Stdin).Decode(&p); err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		MaxIdleConnsPerHost: len(p.Callers) * 2, DisableCompression: true,
	}}
	var next, failed atomic.Int64
	var failure atomic.Value
	failure.Store("")
	taken := make([][]float64, len(p.Callers))
	started := time.Now()
	deadline := started.Add(time.Duration(p.Seconds * float64(time.Second)))
	var group sync.WaitGroup
	for index := range p.Callers {
		group.Add(1)
		go func() {
			defer group.Done()
			for time.Now().Before(deadline) {
				number := int(next.Add(1))
				if number > p.Requests {
					return
				}
				begun := time.Now()
				if err := p.call(client, p.Callers[index], p.First+number); err != nil {
					failed.Add(1)
					failure.Store(err.Error())
				}
				taken[index] = append(taken[index], time.Since(begun).Seconds()*1000)
			}
		}()
	}
	group.Wait()
	all := []float64{}
	for _, each := range taken {
		all = append(all, each...)
	}
	sort.Float64s(all)
	json.NewEncoder(os.Stdout).Encode(report{
		Requests: len(all), Failed: int(failed.Load()), Failure: failure.Load().(string),
		Seconds: time.Since(started).Seconds(), P50: at(all, 0.50), P99: at(all, 0.99),
	})
}

func at(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(share*float64(len(sorted)-1))]
}

func (p *plan) call(client *http.Client, by caller, number int) error {
	body := strings.ReplaceAll(p.Body, "CALL_NUMBER", fmt.Sprintf("%09d", number))
	request, err := http.NewRequest(http.MethodPost, p.URL, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range by.Headers {
		request.Header.Set(name, strings.ReplaceAll(value, "CALL_NUMBER", fmt.Sprintf("%09d", number)))
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK || !bytes.Contains(said, []byte(p.Wanted)) {
		return fmt.Errorf("%d: %.300s", answer.StatusCode, said)
	}
	return nil
}
