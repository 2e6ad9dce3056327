// One conversation with the service, through the client of openapi-generator.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"muster"
)

const number = "861821726232"

func check(holds bool, format string, values ...any) {
	if !holds {
		log.Fatalf(format, values...)
	}
}

// must returns what a call answered.
func must[T, R any](answer T, _ R, err error) T {
	check(err == nil, "the call failed: %v", err)
	return answer
}

func main() {
	configuration := muster.NewConfiguration()
	configuration.Servers = muster.ServerConfigurations{{URL: os.Getenv("MUSTER_SERVER")}}
	client := muster.NewAPIClient(configuration)
	ctx := context.WithValue(context.Background(), muster.ContextAccessToken, os.Getenv("MUSTER_KEY"))
	documented, accounts, journal, webhooks := client.DocumentedAPI, client.AccountsAPI, client.JournalAPI, client.WebhooksAPI

	until := func(wanted muster.OnlineStatus) {
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			list := must(documented.QueryWhatsAppStatus(ctx).WhatsApp(number).Execute()).Data
			check(len(list) == 1, "%d accounts", len(list))
			if list[0].OnlineStatus == wanted {
				return
			}
			check(time.Now().Before(end), "%s is %d, not %d", number, list[0].OnlineStatus, wanted)
		}
	}

	imported := muster.NewImportedAccount(number, "", "", "", "", "")
	insert := muster.NewBatchInsertRequest([]muster.ImportedAccount{*imported})
	check(must(documented.BatchInsert(ctx).BatchInsertRequest(*insert).Execute()).Code == 200, "batchInsert")
	until(4)
	wanted := muster.NewOnlineAccount(number, false, "", "", "", "")
	online := muster.NewBatchOnlineRequest([]muster.OnlineAccount{*wanted})
	check(must(documented.BatchOnline(ctx).BatchOnlineRequest(*online).Execute()).Code == 200, "batchOnline")
	until(2)
	recycle := muster.BatchRecycleRequest{WhatsAppList: []string{number}}
	check(must(documented.BatchRecycle(ctx).BatchRecycleRequest(recycle).Execute()).Code == 200, "batchRecycle")
	until(4)
	phone := muster.NewSubmitPhoneRequest("182172623211", 1, 2, "+86", "CN")
	check(must(documented.SubmitPhone(ctx).SubmitPhoneRequest(*phone).Execute()).Data == 1, "submitPhone")

	cameOnline := false
	for _, event := range must(accounts.ShowHistory(ctx, number).Execute()).Events {
		check(event.Subject == number, "an event of %s", event.Subject)
		cameOnline = cameOnline || event.Type == "muster.account.came_online.v1"
	}
	check(cameOnline, "no came_online in the history")
	check(len(must(journal.ListEvents(ctx).Limit(2).Execute()).Events) == 2, "listEvents")
	labels := muster.NewChangeLabels(map[string]string{"team": "care"})
	check(must(accounts.ChangeLabels(ctx, number).ChangeLabels(*labels).Execute()).Labels["team"] == "care", "changeLabels")

	receiver := os.Getenv("MUSTER_RECEIVER") + "/callback"
	check(must(webhooks.ShowWebhook(ctx, "sync").Execute()).State != "", "showWebhook")
	set := must(webhooks.SetReceiver(ctx, "sync").ReceiverUrl(*muster.NewReceiverUrl(receiver)).Execute())
	check(set.GetUrl() == receiver, "the receiver is %s", set.GetUrl())
	must(webhooks.PauseWebhook(ctx, "sync").Reason(*muster.NewReason("maintenance")).Execute())
	must(webhooks.ResumeWebhook(ctx, "sync").Execute())

	backup := must(client.UpkeepAPI.Backup(ctx).Execute())
	defer os.Remove(backup.Name())
	size, err := backup.Stat()
	check(err == nil && size.Size() > 100, "the backup: %v", err)
	exported, err := os.ReadFile(must(journal.ExportEvents(ctx).Execute()).Name())
	check(err == nil && strings.Contains(string(exported), number), "exportEvents")
	fmt.Println("go: ok")
}
