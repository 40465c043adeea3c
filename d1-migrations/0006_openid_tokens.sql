CREATE TABLE `openid_tokens` (
	`hash` text PRIMARY KEY NOT NULL,
	`user_id` text NOT NULL,
	`expires_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `openid_tokens_by_expiry` ON `openid_tokens` (`expires_at`);