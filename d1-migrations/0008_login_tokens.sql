CREATE TABLE `login_tokens` (
	`hash` text PRIMARY KEY NOT NULL,
	`user_id` text NOT NULL,
	`expires_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `login_tokens_by_expiry` ON `login_tokens` (`expires_at`);